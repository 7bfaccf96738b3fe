"""People in the console: who is at work, what they can and may do, plans, teams and imports (SPEC X1, X6, N1)."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest

from api.pages import people_words
from api.pages.people_words import certificate_state
from api.pages.person_forms import QualificationsForm
from storage import crew, escalation_views, qualifications, shifts
from storage.crew import Standing
from storage.dispatching import engineers
from storage.people import create_person
from storage.people_import import PeopleKind
from storage.qualifications import CertificateRow
from tests.console_builders import NOW, Console
from tests.operations_builders import a_planner_elsewhere
from tests.ticket_builders import DAY, HOUR, SITE, a_device_ticket, an_actor, carry
from ticketing.actors import Actor, Role, RoleHeld
from ticketing.dispatching.shapes import Presence
from ticketing.ticket import State

ENGINEERS = "login,name,site,team\nwang,王磊,plant-1,Crew\nnear,Near,plant-1,Crew\n"
BAD = "login,name,site\nwang,王磊,plant-9\nnew!,,plant-1\n"


def the_id(console: Console, actor: Actor) -> int:
    assert actor.person_id is not None
    return actor.person_id


def a_crew(console: Console) -> None:
    """Near and far are a team with a week's rota of on-call days; unskilled is away with near in their place."""
    house = console.house
    near, far, unskilled = (the_id(console, one) for one in (house.near, house.far, house.unskilled))
    with console.pool.connection() as connection:
        connection.execute("insert into team (name, site_id) values ('Crew', 'plant-1'), ('Yard', null)")
        connection.execute("update person set team_id = 1 where id = any(%s)", ([near, far],))
        shifts.add_shift(connection, near, NOW - HOUR, NOW + 7 * HOUR, False)
        shifts.add_rota(connection, a_rota(near, far))
        shifts.add_absence(connection, unskilled, NOW - HOUR, NOW + DAY, reason="ill", delegate_id=far)


def a_rota(first: int, second: int) -> shifts.NewRota:
    """Nights on call in turn: the first on even days, the second on odd ones, from 20:00 to 06:00."""
    return shifts.NewRota(
        team_id=1,
        name="Nights",
        time_zone="Asia/Shanghai",
        first_day=date(2026, 2, 28),
        last_day=None,
        cycle_days=2,
        on_call=True,
        days=[shifts.RotaDay(0, time(20), time(6))],
        members=[shifts.RotaMember(first, 0), shifts.RotaMember(second, 1)],
    )


def a_supervisor_elsewhere(console: Console, role: Role = Role.SUPERVISOR) -> Actor:
    with console.pool.connection() as connection:
        connection.execute("insert into site values ('plant-2', 'Plant 2', 'weekdays', 31, 120)")
        person_id = create_person(connection, login="else", name="Else", now=NOW, roles=[RoleHeld(role, "plant-2")])
    return an_actor(person_id, role, site="plant-2")


def stored(console: Console, person_id: int) -> qualifications.Qualifications:
    with console.pool.connection() as connection:
        return qualifications.qualifications_of(connection, person_id)


# The list


def test_the_list_tells_who_is_at_work_and_why_others_are_not(console):
    a_crew(console)
    with console.reader(console.house.near) as browser:
        page = browser.get("/people").text
        for told in ("Near", "On shift", "Far", "Unskilled", "Absent", "Far stands in", "mechanical", "Crew"):
            assert told in page, told
        rows = {name: page.split(f">{name}</a>", 1)[1].split("</tr>", 1)[0] for name in ("Far", "Unskilled")}
        assert "stands in for Unskilled" in rows["Far"]
        assert "stands in for" not in rows["Unskilled"]
        assert "without a plan: at work while on duty" in page, "the supervisor has no plan"
        crew_only = browser.get("/people?team=1").text.split("<table", 1)[1]
        assert "Near</a>" in crew_only
        assert "Unskilled</a>" not in crew_only
        assert "Nobody fits this filter" in browser.get("/people?site=plant-9").text
        assert browser.get("/people?team=x&site=&after=0").status_code == 200
    with console.reader(console.house.requester) as browser:
        assert browser.get("/people").status_code == 403


def test_people_of_other_sites_do_not_exist_for_the_reader(console):
    stranger = a_supervisor_elsewhere(console)
    near = the_id(console, console.house.near)
    with console.reader(stranger) as browser:
        page = browser.get("/people").text
        assert "Else" in page
        assert "Near" not in page
        assert browser.get(f"/people/{near}").status_code == 404
        absence = {"starts_at": "2026-03-03T08:00", "ends_at": "2026-03-04T08:00", "reason": "x"}
        assert browser.post(f"/people/{near}/absences", data=absence).status_code == 404


def test_everybody_is_told_to_be_at_work_as_dispatch_has_it(console):
    """The list's words and the hard rules must never tell two stories of one person."""
    a_crew(console)
    told = {
        Standing.ON_SHIFT: Presence.AT_WORK,
        Standing.UNPLANNED: Presence.AT_WORK,
        Standing.ON_CALL: Presence.ON_CALL,
        Standing.OFF_SHIFT: Presence.OFF,
    }
    seen = set()
    with console.pool.connection() as connection:
        for hours in range(0, 72, 5):
            now = NOW + hours * HOUR
            # On duty and without a plan, the absent one would be at work: so the delegate is.
            on_duty = hours < 12 or hours > 60
            connection.execute("update person set on_duty = %s where login = 'unskilled'", (on_duty,))
            connection.execute("update person set on_duty = %s where login = 'near'", (hours != 70,))
            known = {one.id: one for one in crew.people_now(connection, now, sites=None)}
            for engineer in engineers(connection, now):
                person = known[engineer.person_id]
                assert person.absent_until == engineer.absent_until
                assert person.open_tickets == engineer.open_tickets
                if person.standing in told:
                    assert told[person.standing] is engineer.presence, (hours, person.name)
                seen.add(person.standing)
    assert seen >= {Standing.ON_SHIFT, Standing.ON_CALL, Standing.OFF_SHIFT, Standing.ABSENT, Standing.OFF_DUTY}


def test_the_plan_of_a_span_says_what_the_database_says_of_every_moment(console):
    a_crew(console)
    with console.pool.connection() as connection:
        start = NOW - 6 * HOUR  # in the night: who began on the day before is at work
        spans = crew.plan_between(connection, start, start + 8 * DAY, sites=None)
        assert spans[0].starts_at < start
        for hours in range(0, 8 * 24, 3):
            now = start + hours * HOUR
            expected = {
                (row[0], row[1])
                for row in connection.execute("select person_id, on_call from at_work(%s)", (now,)).fetchall()
            }
            assert {(one.person_id, one.on_call) for one in spans if one.starts_at <= now < one.ends_at} == expected


def test_an_administrator_adds_a_person_and_a_refusal_keeps_what_was_typed(console, admin):
    form = {
        "login": "li", "name": "李 Na", "password": "a long secret", "language": "zh", "role": "engineer",
        "site": "plant-1", "team": "Crew", "load_limit": "2", "latitude": "31.3", "longitude": "120.7",
    }  # fmt: skip
    with console.reader(admin) as browser:
        assert "Add a person" in browser.get("/people").text
        refused = browser.post("/people", data={**form, "login": "L I"})
        assert refused.status_code == 422
        assert 'value="L I"' in refused.text
        assert 'value="李 Na"' in refused.text
        assert "a long secret" not in refused.text, "a password is never shown again"
        added = browser.post("/people", data=form)
        assert added.status_code == 303
        page = browser.get(added.headers["location"]).text
        for told in ("李 Na", "Crew", "0 of 2", "31.30000, 120.70000", "Chinese"):
            assert told in page, told
        assert browser.post("/people", data=form).status_code == 409
    with console.reader(console.house.supervisor) as browser:
        assert "Add a person" not in browser.get("/people").text
        assert browser.post("/people", data={**form, "login": "li2"}).status_code == 403


def test_an_administrator_of_one_site_makes_nobody_for_another(console):
    local = a_supervisor_elsewhere(console, Role.ADMIN)
    form = {"login": "li", "name": "Li", "language": "en", "role": "engineer", "site": "plant-1"}
    with console.reader(local) as browser:
        page = browser.get("/people").text.split('id="role-site"', 1)[1].split("</select>")[0]
        assert "plant-2" in page
        assert "plant-1" not in page
        assert "every site" not in page
        assert browser.post("/people", data=form).status_code == 403
        assert browser.post("/people", data={**form, "site": "plant-2"}).status_code == 303


# One person


def test_skills_brands_and_passes_are_replaced_as_a_whole(console, admin):
    near = the_id(console, console.house.near)
    address = f"/people/{near}/qualifications"
    form = {
        "skill:0": "mechanical", "level:0": "5", "skill:1": "hydraulic", "level:1": "2", "skill:2": "", "level:2": "3",
        "brands": "ABB\n\nSiemens", "pass:plant-1": "on", "until:plant-1": "2026-02-01",
    }  # fmt: skip
    with console.reader(admin) as browser:
        wrong = browser.post(address, data={**form, "skill:1": "Hydraulik!"})
        assert wrong.status_code == 422
        assert 'value="Hydraulik!"' in wrong.text
        assert stored(console, near).skills == {"mechanical": 4}, "refused whole"
        assert browser.post(address, data=form).status_code == 303
        page = browser.get(f"/people/{near}").text
    found = stored(console, near)
    assert found.skills == {"mechanical": 5, "hydraulic": 2}
    assert found.brands == ["ABB", "Siemens"]
    assert found.site_access == {"plant-1": date(2026, 2, 1)}
    assert "ended on 2026-02-01" in page
    with console.reader(console.house.supervisor) as browser:
        page = browser.get(f"/people/{near}").text
        assert "hydraulic" in page
        assert "Change skills" not in page
        assert browser.post(address, data=form).status_code == 403


def test_a_pass_into_a_site_that_is_not_the_administrators_is_not_lost(console):
    """SPEC X1. Fails when saving replaces passes that the form cannot show."""
    local = a_supervisor_elsewhere(console, Role.ADMIN)
    person_id = the_id(console, local)
    with console.pool.connection() as connection:
        qualifications.set_site_access(connection, person_id, {"plant-1": date(2027, 5, 1), "plant-2": None})
    with console.reader(local) as browser:
        assert "Passes into sites that are not yours stay as they are." in browser.get(f"/people/{person_id}").text
        saved = browser.post(
            f"/people/{person_id}/qualifications", data={"pass:plant-2": "on", "until:plant-2": "2027-01-31"}
        )
        assert saved.status_code == 303
    with console.pool.connection() as connection:
        found = qualifications.qualifications_of(connection, person_id)
    assert found.site_access == {"plant-1": date(2027, 5, 1), "plant-2": date(2027, 1, 31)}


def test_certificates_are_noted_and_an_expired_one_says_so(console, admin):
    near = the_id(console, console.house.near)
    address = f"/people/{near}/certificates"
    with console.reader(admin) as browser:
        for name, first, last in (("height", "2025-01-01", "2026-03-01"), ("gas", "2026-01-01", "")):
            assert browser.post(address, data={"name": name, "valid_from": first, "valid_to": last}).status_code == 303
        page = browser.get(f"/people/{near}").text
        for told in ("Expired", "Valid", "without end", "2026-03-01"):
            assert told in page, told
        backwards = browser.post(address, data={"name": "gas", "valid_from": "2026-05-01", "valid_to": "2026-01-01"})
        assert backwards.status_code == 422
        assert 'value="2026-05-01"' in backwards.text
        one = next(one for one in stored(console, near).certificates if one.name == "height")
        assert browser.post(f"{address}/{one.id}/remove").status_code == 303
        assert browser.post(f"{address}/{one.id}/remove").status_code == 404
    assert [one.name for one in stored(console, near).certificates] == ["gas"]
    with console.reader(console.house.supervisor) as browser:
        assert browser.post(address, data={"name": "x", "valid_from": "2026-01-01"}).status_code == 403
        assert "Note a certificate" not in browser.get(f"/people/{near}").text


@pytest.mark.parametrize(
    ("first", "last", "state"),
    [
        ("2026-03-03", None, "later"),
        ("2026-03-02", None, "valid"),
        ("2026-01-01", "2026-03-01", "expired"),
        ("2026-01-01", "2026-03-02", "ends_soon"),
        ("2026-01-01", "2026-04-01", "ends_soon"),
        ("2026-01-01", "2026-04-02", "valid"),
    ],
)
def test_a_certificate_is_worth_what_it_is_worth_on_the_day(first, last, state):
    row = CertificateRow(1, "gas", date.fromisoformat(first), None if last is None else date.fromisoformat(last))
    assert certificate_state(row, date(2026, 3, 2)) == state


def test_a_supervisor_notes_an_absence_with_who_stands_in_and_takes_it_back(console):
    near, far = (the_id(console, one) for one in (console.house.near, console.house.far))
    address = f"/people/{near}/absences"
    form = {"starts_at": "2026-03-02T09:00", "ends_at": "2026-03-05T18:00", "delegate_id": str(far), "reason": "leave"}
    with console.reader(console.house.supervisor) as browser:
        backwards = browser.post(address, data={**form, "ends_at": "2026-03-01T18:00"})
        assert backwards.status_code == 422
        assert 'value="leave"' in backwards.text
        assert 'value="2026-03-01T18:00"' in backwards.text
        assert f'<option value="{far}" selected>' in backwards.text
        assert browser.post(address, data={**form, "delegate_id": str(near)}).status_code == 422
        assert browser.post(address, data=form).status_code == 303
        page = browser.get(f"/people/{near}").text
        for told in ("Absent", "Far stands in", "2026-03-05 18:00", "leave"):
            assert told in page, told
        with console.pool.connection() as connection:
            (absence,) = shifts.list_absences(connection, sites=None, start=NOW)
        assert absence.starts_at == datetime(2026, 3, 2, 9, tzinfo=ZoneInfo("Asia/Shanghai")), "the site's wall clock"
        assert browser.post(f"{address}/{absence.id}/remove").status_code == 303
        assert "Far stands in" not in browser.get(f"/people/{near}").text
    with console.reader(console.house.far) as browser:
        assert "Note an absence" not in browser.get(f"/people/{near}").text
        assert browser.post(address, data=form).status_code == 403


def test_a_shift_is_planned_and_taken_out_on_the_persons_page(console):
    near = the_id(console, console.house.near)
    form = {"starts_at": "2026-03-03T08:00", "ends_at": "2026-03-03T16:00", "on_call": "on"}
    with console.reader(console.house.supervisor) as browser:
        assert "Neither a shift nor a place in a rota" in browser.get(f"/people/{near}").text
        assert browser.post(f"/people/{near}/shifts", data=form).status_code == 303
        twice = browser.post(f"/people/{near}/shifts", data=form)
        assert twice.status_code == 409
        assert 'value="2026-03-03T16:00"' in twice.text
        page = browser.get(f"/people/{near}").text
        assert "On call" in page
        assert "2026-03-03 08:00" in page
        (address,) = re.findall(rf'action="(/people/{near}/shifts/\d+/remove)"', page)
        assert browser.post(address).status_code == 303
        assert "2026-03-03 08:00" not in browser.get(f"/people/{near}").text


def test_a_person_is_given_a_calendar_by_an_administrator_of_all_their_sites(console, admin):
    near = the_id(console, console.house.near)
    with console.reader(admin) as browser:
        assert browser.post(f"/people/{near}/calendar", data={"calendar_id": "moon"}).status_code == 404
        assert browser.post(f"/people/{near}/calendar", data={"calendar_id": "weekdays"}).status_code == 303
        assert 'href="/calendars/weekdays"' in browser.get(f"/people/{near}").text
        assert browser.post(f"/people/{near}/calendar", data={"calendar_id": ""}).status_code == 303
        assert "that of the site" in browser.get(f"/people/{near}").text
    with console.reader(console.house.planner) as browser:
        assert browser.post(f"/people/{near}/calendar", data={"calendar_id": "weekdays"}).status_code == 403
        assert "Change the calendar" not in browser.get(f"/people/{near}").text


def the_form(page: str, name: str) -> dict[str, str]:
    """What a browser would send of a form of the person's page, as it stands there."""
    form = page.split(f'/{name}"', 1)[1].split("</form>")[0]
    inputs = re.findall(r'<input[^>]* name="([^"]+)"[^>]* value="([^"]*)"', form)
    filled = {field: unescape(value) for field, value in inputs}
    for field, options in re.findall(r'<select id="[^"]+" name="([^"]+)"[^>]*>(.*?)</select>', form, re.DOTALL):
        # An option without a value sends its words.
        known = re.findall(r'<option(?: value="([^"]*)")?( selected)?>([^<]*)</option>', options)
        value, _, words = next((option for option in known if option[1]), known[0])
        filled[field] = value if f'value="{value}"' in options else words
    return filled | ({"on_duty": "on"} if 'name="on_duty" aria-describedby="duty-told" checked' in form else {})


def test_an_administrator_changes_who_somebody_is_and_a_refusal_keeps_what_was_typed(console, admin):
    near = the_id(console, console.house.near)
    with console.reader(admin) as browser:
        form = the_form(browser.get(f"/people/{near}").text, "change")
        assert browser.post(f"/people/{near}/change", data=form).status_code == 303
        assert the_form(browser.get(f"/people/{near}").text, "change") == form, "saving the form as it stands changes"
        typed = {
            **form, "name": "Nia", "team": "Nights", "latitude": "31.5", "longitude": "120.5", "load_limit": "2",
            "requester_tier": "vip", "role:1": "planner", "site:1": "plant-1",
        }  # fmt: skip
        refused = browser.post(f"/people/{near}/change", data={**typed, "load_limit": "99"})
        assert refused.status_code == 422
        assert the_form(refused.text, "change") == {**typed, "load_limit": "99"}
        assert browser.post(f"/people/{near}/change", data=typed).status_code == 303
        page = browser.get(f"/people/{near}").text
        for told in ("Nia", "Nights", "0 of 2", "31.50000, 120.50000", "VIP", "Planner"):
            assert told in page.split('id="calendar"')[0], told
        changes = page.split('id="changes"', 1)[1]
        assert "Nights" in changes
        assert "Planner · plant-1" in changes
        assert "Near → Nia" in changes
        assert "Standard → VIP" in changes
        stale = browser.post(f"/people/{near}/change", data=typed)
        assert stale.status_code == 409
        without = {name: value for name, value in the_form(page, "change").items() if name != "on_duty"}
        assert browser.post(f"/people/{near}/change", data={**without, "role:1": ""}).status_code == 303
        page = browser.get(f"/people/{near}").text
        assert "Off duty" in page
        assert "Planner" not in page.split('id="calendar"')[0].split("<details")[0]


def test_saving_a_form_drops_none_of_many_roles_and_skills(console, admin):
    near = the_id(console, console.house.near)
    with console.pool.connection() as connection:
        connection.execute(
            "insert into site select 'site-' || n, 'Site ' || n, 'weekdays', 31, 120 from generate_series(1, 25) as n"
        )
        connection.execute(
            "insert into person_role select %s, 'engineer', id from site where id like 'site-%%'", (near,)
        )
        connection.execute("delete from person_skill where person_id = %s", (near,))
        connection.execute(
            "insert into person_skill select %s, 'skill-' || n, 3 from generate_series(1, 50) as n", (near,)
        )
    with console.reader(admin) as browser:
        page = browser.get(f"/people/{near}").text
        assert browser.post(f"/people/{near}/change", data=the_form(page, "change")).status_code == 303
        skills = the_form(page, "qualifications")
        assert browser.post(f"/people/{near}/qualifications", data=skills).status_code == 303
        one_more = {**skills, "skill:50": "skill-51", "level:50": "3"}
        assert browser.post(f"/people/{near}/qualifications", data=one_more).status_code == 422
    with console.pool.connection() as connection:
        assert connection.execute("select count(*) from person_role where person_id = %s", (near,)).fetchone() == (26,)
    assert len(stored(console, near).skills) == 50


def test_somebody_who_left_is_deactivated_with_a_word_about_their_tickets(console, admin):
    near = the_id(console, console.house.near)
    with console.pool.connection() as connection:
        code = a_device_ticket(connection, console.house)
        carry(connection, console.house, code, State.ACCEPTED)
    with console.reader(admin) as browser, console.reader(console.house.near) as own:
        assert own.get("/").status_code == 200
        page = browser.get(f"/people/{near}").text
        assert "Open tickets that stay with them until somebody gives them to others: 1" in page
        assert browser.post(f"/people/{near}/active", data=the_form(page, "active")).status_code == 303
        page = browser.get(f"/people/{near}").text
        assert "Inactive" in page
        assert own.get("/").headers["location"].startswith("/login")
        listed = browser.get(f"/?engineer={near}").text
        assert "Only what Near holds." in listed
        assert code in listed
        assert browser.post(f"/people/{near}/active", data=the_form(page, "active")).status_code == 303
        assert "Inactive" not in browser.get(f"/people/{near}").text


def test_the_list_of_somebodys_tickets_shows_theirs_only_and_to_colleagues_only(console, admin):
    house = console.house
    with console.pool.connection() as connection:
        code = a_device_ticket(connection, house)
        carry(connection, house, code, State.ACCEPTED)
    with console.reader(house.supervisor) as browser:
        assert code in browser.get(f"/?engineer={the_id(console, house.near)}").text
        assert code not in browser.get(f"/?engineer={the_id(console, house.far)}").text
        everybody = browser.get("/?engineer=999999").text
        assert "Only what" not in everybody
        assert code in everybody
    for stranger, sees in ((a_supervisor_elsewhere(console), False), (house.requester, True)):
        with console.reader(stranger) as browser:
            page = browser.get(f"/?engineer={the_id(console, house.near)}").text
            assert "Only what" not in page
            assert (code in page) == sees, "a requester sees own reports, whoever has them"


def test_a_new_password_is_given_and_never_shown_again(console, admin):
    near = the_id(console, console.house.near)
    with console.reader(admin) as browser, console.reader(console.house.near) as own:
        refused = browser.post(f"/people/{near}/password", data={"password": "2 short"})
        assert refused.status_code == 422
        assert "2 short" not in refused.text
        assert browser.post(f"/people/{near}/password", data={"password": "a long secret"}).status_code == 303
        assert own.get("/").headers["location"].startswith("/login")
        assert "a long secret" not in browser.get(f"/people/{near}").text


def test_who_somebody_is_is_changed_by_administrators_of_all_their_sites_only(console, admin):
    near = the_id(console, console.house.near)
    local = a_supervisor_elsewhere(console, Role.ADMIN)
    with console.pool.connection() as connection:
        connection.execute("insert into person_role values (%s, 'engineer', 'plant-2')", (near,))
    with console.reader(admin) as browser:
        form = the_form(browser.get(f"/people/{near}").text, "change")
    posts = {
        "change": form,
        "active": {"version": "1", "active": "no"},
        "password": {"password": "a long secret"},
    }
    for reader in (local, console.house.supervisor, console.house.near):
        with console.reader(reader) as browser:
            page = browser.get(f"/people/{near}").text
            assert "Change who this is" not in page
            assert ("administrator of every site of this person" in page) == (reader is local)
            for name, data in posts.items():
                assert browser.post(f"/people/{near}/{name}", data=data).status_code == 403, name
    with console.reader(local) as browser:
        assert "plant-1" not in browser.get(f"/people/{near}").text


def test_the_form_of_qualifications_has_room_for_more(console):
    form = QualificationsForm.of_stored(stored(console, the_id(console, console.house.near)), ["plant-1"])
    assert [(row.skill, row.level) for row in form.skills] == [("mechanical", "4"), ("", "3"), ("", "3"), ("", "3")]
    assert form.body()["skills"] == {"mechanical": "4"}


# Tables


def a_table(text: str) -> dict[str, tuple[str, bytes, str]]:
    return {"file": ("people.csv", text.encode(), "text/csv")}


def test_a_table_of_people_is_looked_at_before_it_is_imported(console, admin):
    with console.reader(admin) as browser:
        looked = browser.post("/people/import", data={"kind": "engineers"}, files=a_table(ENGINEERS))
        assert looked.status_code == 200
        assert "What the table would do" in looked.text
        assert "王磊" not in browser.get("/people").text
        (carried,) = re.findall(r'name="carried" value="([^"]+)"', looked.text)
        done = browser.post("/people/import", data={"kind": "engineers", "step": "import", "carried": carried})
        assert "The table is imported" in done.text
        assert "王磊" in browser.get("/people").text
        again = browser.post("/people/import", data={"kind": "engineers"}, files=a_table(ENGINEERS))
        assert "Nothing to import" in again.text


def test_every_wrong_row_of_people_is_listed_and_nothing_is_imported(console, admin):
    with console.reader(admin, "zh") as browser:
        refused = browser.post("/people/import", data={"kind": "engineers", "step": "import"}, files=a_table(BAD))
        assert refused.status_code == 422
        for told in ("需要更正", "plant-9", "new!"):
            assert told in refused.text, told
        assert "王磊" not in browser.get("/people").text


def test_who_may_not_change_people_gets_templates_and_no_import(console):
    with console.reader(console.house.near) as browser:
        page = browser.get("/people/import").text
        assert "Look what it would do" not in page
        for kind in PeopleKind:
            address = f"/api/v1/people/template?kind={kind}&amp;format=csv"
            assert address in page
            assert browser.get(unescape(address)).status_code == 200
        refused = browser.post("/people/import", data={"kind": "engineers"}, files=a_table(ENGINEERS))
        assert refused.status_code == 403
    assert set(people_words.TABLES) == set(PeopleKind)
    assert set(people_words.STANDINGS) == set(Standing)


# Teams and directors


def test_a_team_tells_who_is_on_call_now_and_next(console, admin):
    a_crew(console)
    console.clock.move(timedelta(hours=12))  # 22:00 at the site: the first night
    with console.reader(admin) as browser:
        page = browser.get("/teams").text
        row = page[page.index('id="team-1"') : page.index("</tr>", page.index('id="team-1"'))]
        assert "Near" in row
        assert "Far · from" in unescape(re.sub(r"\s+", " ", row))
        assert "2026-03-03 20:00" in row
        far = the_id(console, console.house.far)
        wrong = browser.post("/teams/1", data={"site": "plant-1", "lead": str(far), "backup": "1"})
        assert wrong.status_code == 422
        assert f'<option value="{far}" selected>' in wrong.text
        form = {"site": "plant-1", "lead": str(far), "backup": "2"}
        assert browser.post("/teams/1", data=form).status_code == 303
    with console.pool.connection() as connection:
        team = qualifications.list_teams(connection, sites=None)[0]
    assert (team.lead_id, team.backup_team_id) == (far, 2)
    with console.reader(console.house.supervisor) as browser:
        assert "Change a team" not in browser.get("/teams").text
        assert browser.post("/teams/1", data=form).status_code == 403


def test_the_directors_of_a_site_are_named_by_an_administrator(console, admin):
    near = the_id(console, console.house.near)
    supervisor = the_id(console, console.house.supervisor)
    with console.reader(admin) as browser:
        both = {"person_id": [str(near), str(supervisor)]}
        assert browser.post(f"/sites/{SITE}/directors", data=both).status_code == 303
        page = browser.get("/teams").text
        assert "Near, Supervisor" in re.sub(r"\s+", " ", page)
        refused = browser.post(f"/sites/{SITE}/directors", data={"person_id": [str(near), "999"]})
        assert refused.status_code == 404
        assert browser.post("/sites/plant-9/directors", data=both).status_code == 404
    with console.pool.connection() as connection:
        assert [one.id for one in escalation_views.directors(connection, SITE)] == [near, supervisor]
    with console.reader(console.house.planner) as browser:
        assert "Change the directors" not in browser.get("/teams").text
        assert browser.post(f"/sites/{SITE}/directors", data={}).status_code == 403


# The plan


def test_the_week_shows_shifts_rotas_and_who_is_away(console):
    a_crew(console)
    with console.reader(console.house.near) as browser:
        page = browser.get("/shifts").text
        for told in ("Week of 2026-03-02", "09:00–17:00", "20:00–06:00", "On call", "Nights", "Near", "Far"):
            assert told in page, told
        far = page.split(">Far</a>", 1)[1].split("</tr>", 1)[0]
        monday, tuesday = re.findall(r"<td.*?</td>", far, re.DOTALL)[:2]
        assert "…–06:00" in monday, "the night that began on Sunday only ends here"
        assert "20:00–06:00" in tuesday
        away = page.split(">Unskilled</a>", 1)[1].split("</tr>", 1)[0]
        assert away.count("Absent") == 2, "from Monday to Tuesday morning"
        assert "Far stands in" in away
        assert "Plan a shift" not in page, "engineers plan nothing"
        assert "Week of 2026-03-09" in browser.get("/shifts?week=2026-03-11").text
        assert "Week of 2026-03-02" in browser.get("/shifts?week=soon").text
        assert "Nothing is planned in this week" in browser.get("/shifts?team=2").text


def test_a_supervisor_plans_a_shift_and_a_rota_and_takes_them_out(console):
    a_crew(console)
    near, far = (the_id(console, one) for one in (console.house.near, console.house.far))
    rota = {
        "team_id": "1", "name": "Days", "time_zone": "Asia/Shanghai", "first_day": "2026-03-02", "cycle_days": "7",
        "days-0": "0-3, 4", "starts-0": "08:00", "ends-0": "16:00", "days-1": "5", "starts-1": "09:00",
        "ends-1": "12:00", "member-0": str(near), "offset-0": "0", "member-1": str(far), "offset-1": "1",
    }  # fmt: skip
    with console.reader(console.house.supervisor) as browser:
        shift = {"person_id": str(far), "starts_at": "2026-03-04T08:00", "ends_at": "2026-03-04T16:00"}
        assert browser.post("/shifts", data={**shift, "person_id": ""}).status_code == 422
        assert browser.post("/shifts", data=shift).status_code == 303
        wrong = browser.post("/rotas", data={**rota, "days-0": "0-9"})
        assert wrong.status_code == 422
        assert 'value="0-9"' in wrong.text
        assert 'value="Days"' in wrong.text
        assert browser.post("/rotas", data=rota).status_code == 303
    with console.pool.connection() as connection:
        found = shifts.list_rotas(connection, sites=None)[-1]
        planned = shifts.list_shifts(connection, sites=None, start=NOW, until=NOW + 7 * DAY, person_id=far)
    assert [day.number for day in found.days] == [0, 1, 2, 3, 4, 5]
    assert str(found.days[-1].ends) == "12:00:00"
    assert [(one.person_id, one.offset_days) for one in found.members] == [(near, 0), (far, 1)]
    with console.reader(console.house.near) as browser:
        assert browser.post("/rotas", data=rota).status_code == 403
        assert browser.post(f"/rotas/{found.id}/remove").status_code == 403
        assert browser.post(f"/shifts/{planned[0].id}/remove").status_code == 403
    with console.reader(console.house.supervisor) as browser:
        assert browser.post(f"/rotas/{found.id}/remove").status_code == 303
        assert browser.post(f"/rotas/{found.id}/remove").status_code == 404
        assert browser.post(f"/shifts/{planned[0].id}/remove").status_code == 303
    with console.pool.connection() as connection:
        assert [one.name for one in shifts.list_rotas(connection, sites=None)] == ["Nights"]
        assert shifts.list_shifts(connection, sites=None, start=NOW, until=NOW + 7 * DAY, person_id=far) == []


def test_a_planner_of_another_site_sees_and_changes_none_of_it(console):
    a_crew(console)
    with console.pool.connection() as connection:
        stranger = a_planner_elsewhere(connection)
        connection.execute("update team set site_id = 'plant-1'")
    with console.reader(stranger) as browser:
        for path in ("/shifts", "/teams", "/people"):
            assert "Near" not in browser.get(path).text, path
        assert browser.post("/rotas/1/remove").status_code == 404
        assert browser.post("/shifts/1/remove").status_code == 404
