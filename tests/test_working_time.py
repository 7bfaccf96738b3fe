"""Working time against a minute-by-minute oracle, across clock changes (SPEC S3)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain.refusals import Refused
from domain.working_time import ROUND_THE_CLOCK, Segment, WorkingCalendar

HOUR_S = 3600
MORNING, AFTERNOON = Segment(8 * HOUR_S, 12 * HOUR_S), Segment(13 * HOUR_S, 17 * HOUR_S + 1800)
WEEKDAYS = ((MORNING, AFTERNOON),) * 5 + ((), ())
SHANGHAI = WorkingCalendar("Asia/Shanghai", WEEKDAYS)
ZONES = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/St_Johns",
    "Africa/Casablanca",
    "America/Santiago",
    "Asia/Beirut",
]


def at(text: str, zone: str = "Asia/Shanghai") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def is_working(calendar: WorkingCalendar, instant: datetime) -> bool:
    """The oracle: look at the wall clock."""
    local = instant.astimezone(ZoneInfo(calendar.time_zone))
    segments = calendar.week[local.weekday()]
    if (local.date(), False) in calendar.exceptions:
        segments = ()
    elif (local.date(), True) in calendar.exceptions and not segments:
        segments = next(segments for segments in calendar.week if segments)
    second = local.hour * HOUR_S + local.minute * 60
    return any(segment.starts_s <= second < segment.ends_s for segment in segments)


def worked_minutes(calendar: WorkingCalendar, start: datetime, minutes: int) -> int:
    return sum(is_working(calendar, start + timedelta(minutes=minute)) for minute in range(minutes))


@st.composite
def calendars(draw: st.DrawFn) -> WorkingCalendar:
    def segments() -> tuple[Segment, ...]:
        edges = sorted(draw(st.sets(st.integers(0, 96), max_size=6)))
        return tuple(Segment(a * 900, b * 900) for a, b in zip(edges[::2], edges[1::2], strict=False))

    week = tuple(segments() for _ in range(7))
    if not any(week):
        week = ((MORNING,), *week[1:])
    days = draw(st.lists(st.dates(date(2024, 1, 1), date(2027, 12, 31)), max_size=4, unique=True))
    exceptions = frozenset((day, draw(st.booleans())) for day in days)
    return WorkingCalendar(draw(st.sampled_from(ZONES)), week, exceptions)


def clock_changes(zone: str) -> list[datetime]:
    hours = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(2 * 8760)]
    offsets = [hour.astimezone(ZoneInfo(zone)).utcoffset() for hour in hours]
    return [hours[n] for n in range(1, len(hours)) if offsets[n] != offsets[n - 1]]


CHANGES = {zone: clock_changes(zone) or [datetime(2025, 3, 30, tzinfo=UTC)] for zone in ZONES}


@st.composite
def cases(draw: st.DrawFn) -> tuple[WorkingCalendar, datetime]:
    """A calendar and a start near a clock change of its zone, or near a leap day."""
    calendar = draw(calendars())
    near = draw(st.sampled_from([*CHANGES[calendar.time_zone], datetime(2024, 2, 28, tzinfo=UTC)]))
    return calendar, near + timedelta(minutes=draw(st.integers(-2880, 1440)))


BERLIN_NIGHT = WorkingCalendar("Europe/Berlin", ((Segment(0, 6 * HOUR_S),),) * 7)


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 4000))
@example((BERLIN_NIGHT, datetime(2025, 3, 29, 22, 0, tzinfo=UTC)), 1000)
@example((BERLIN_NIGHT, datetime(2025, 10, 25, 21, 0, tzinfo=UTC)), 1000)
def test_worked_time_is_what_the_wall_clock_says_minute_by_minute(
    case: tuple[WorkingCalendar, datetime], minutes: int
) -> None:
    calendar, start = case
    expected = worked_minutes(calendar, start, minutes) * 60
    assert calendar.worked(start, start + timedelta(minutes=minutes)) == expected


@settings(max_examples=300, deadline=None)
@given(cases(), st.integers(1, 400_000_000))
def test_due_and_worked_are_inverses_to_the_millisecond(
    case: tuple[WorkingCalendar, datetime], milliseconds: int
) -> None:
    calendar, start = case
    seconds = milliseconds / 1000
    due = calendar.due(start, seconds)
    assert calendar.worked(start, due) == pytest.approx(seconds, abs=1e-6)
    assert calendar.worked(start, due - timedelta(milliseconds=1)) < seconds


@settings(max_examples=300, deadline=None)
@given(cases(), st.integers(1, 400_000_000))
def test_ago_and_worked_are_inverses_to_the_millisecond(
    case: tuple[WorkingCalendar, datetime], milliseconds: int
) -> None:
    calendar, end = case
    seconds = milliseconds / 1000
    since = calendar.ago(end, seconds)
    assert calendar.worked(since, end) == pytest.approx(seconds, abs=1e-6)
    assert calendar.worked(since + timedelta(milliseconds=1), end) < seconds


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 100_000), st.integers(1, 100_000))
def test_time_adds_up(case: tuple[WorkingCalendar, datetime], first_s: int, then_s: int) -> None:
    """A pause can be given back at its end: due(due(start, a), b) == due(start, a + b)."""
    calendar, start = case
    assert calendar.due(calendar.due(start, first_s), then_s) == calendar.due(start, first_s + then_s)


def test_a_target_begun_on_friday_evening_ends_on_monday() -> None:
    assert SHANGHAI.due(at("2026-03-06T17:00"), 2 * HOUR_S) == at("2026-03-09T09:30")


def test_lunch_does_not_count() -> None:
    assert SHANGHAI.due(at("2026-03-02T11:30"), HOUR_S) == at("2026-03-02T13:30")


def test_a_holiday_does_not_count_and_an_adjusted_saturday_does() -> None:
    days = frozenset({(date(2026, 10, 1), False), (date(2026, 10, 10), True)})
    calendar = WorkingCalendar("Asia/Shanghai", WEEKDAYS, days)
    assert calendar.worked(at("2026-10-01T00:00"), at("2026-10-02T00:00")) == 0
    assert calendar.worked(at("2026-10-10T00:00"), at("2026-10-11T00:00")) == 8.5 * HOUR_S


def test_the_night_of_the_lost_hour_is_shorter_and_that_of_the_found_hour_longer() -> None:
    spring = BERLIN_NIGHT.worked(at("2025-03-30T00:00", "Europe/Berlin"), at("2025-03-30T06:00", "Europe/Berlin"))
    autumn = BERLIN_NIGHT.worked(at("2025-10-26T00:00", "Europe/Berlin"), at("2025-10-26T06:00", "Europe/Berlin"))
    assert (spring, autumn) == (5 * HOUR_S, 7 * HOUR_S)


def test_a_segment_may_last_until_midnight() -> None:
    calendar = WorkingCalendar("UTC", ((Segment(22 * HOUR_S, 24 * HOUR_S),),) * 7)
    assert calendar.due(datetime(2026, 1, 1, 23, tzinfo=UTC), 2 * HOUR_S) == datetime(2026, 1, 2, 23, tzinfo=UTC)


def test_round_the_clock_every_second_counts() -> None:
    start = at("2026-03-07T03:00")
    assert ROUND_THE_CLOCK.due(start, 7200) == start + timedelta(hours=2)
    assert ROUND_THE_CLOCK.worked(start, start + timedelta(hours=2)) == 7200
    assert ROUND_THE_CLOCK.worked(start, start - timedelta(hours=2)) == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: WorkingCalendar("Asia/Shanghai", ((),) * 7),
        lambda: WorkingCalendar("Asia/Shanghai", WEEKDAYS[:6]),
        lambda: WorkingCalendar("Middle/Earth", WEEKDAYS),
        lambda: WorkingCalendar("../etc/passwd", WEEKDAYS),
        lambda: WorkingCalendar("UTC", ((AFTERNOON, MORNING),) * 7),
        lambda: WorkingCalendar("UTC", ((MORNING, MORNING),) * 7),
        lambda: Segment(5, 5),
        lambda: Segment(-1, 5),
        lambda: Segment(0, 86_401),
    ],
)
def test_an_impossible_calendar_is_refused(make: object) -> None:
    with pytest.raises(Refused) as refused:
        make()  # type: ignore[operator]
    assert refused.value.name == "invalid_calendar"
