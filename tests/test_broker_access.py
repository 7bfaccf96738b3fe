"""Who may do what, as data: grants, the filters a gateway may have, and the rules rendered from them (SPEC E2)."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import stat
from pathlib import Path

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.broker_grants import FeedTopic, check_gateway_filters, device_grant, gateway_grant
from domain.refusals import Refused
from domain.topic_filters import check_filter, matches, overlap
from runtime.broker_access import (
    Service,
    emqx_acl,
    emqx_users,
    internal_address,
    keep_service,
    mosquitto_acl,
    mosquitto_passwords,
    nats_subjects,
    nats_users,
)
from storage.device_credentials import LIVE_LIMIT, Login, hash_secret, new_secret
from tests.broker_builders import a_device_login, a_gateway_login, an_access

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
FEEDS = [FeedTopic("spBv1.0/#", "plant-1"), FeedTopic("south/+/tele", "south")]


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_device_may_say_or_hear_what_is_another_ones(site: str, device: str, other_site: str, other: str) -> None:
    if (site, device) == (other_site, other):
        return
    mine, theirs = device_grant("a", site, device), device_grant("b", other_site, other)
    every = [*theirs.publish, *theirs.subscribe]
    assert not any(overlap(one, two) for one in (*mine.publish, *mine.subscribe) for two in every)


def test_a_device_may_not_speak_where_it_is_spoken_to() -> None:
    grant = device_grant("a", "plant-1", "d1")
    assert {topic.rsplit("/", 1)[1] for topic in grant.publish} == {"telemetry", "events", "waveform", "state"}
    assert {topic.rsplit("/", 1)[1] for topic in grant.subscribe} == {"tickets", "commands"}
    assert all("+" not in topic and "#" not in topic for topic in (*grant.publish, *grant.subscribe))


@pytest.mark.parametrize(
    ("publish", "subscribe"),
    [
        (["wearsight/v1/plant-1/+/telemetry", "wearsight/v1/plant-1/+/state"], ["wearsight/v1/plant-1/+/tickets"]),
        (["wearsight/v1/plant-1/d1/waveform"], ["wearsight/v1/plant-1/#"]),
        (["spBv1.0/group/+/edge/#"], ["spBv1.0/group/NCMD/edge", "spBv1.0/STATE/host"]),
        (["车间/一号/#"], []),
    ],
)
def test_a_gateway_may_speak_for_the_devices_of_its_site_and_on_feeds(publish: list[str], subscribe: list[str]) -> None:
    check_gateway_filters("plant-1", publish, subscribe, FEEDS)


@pytest.mark.parametrize(
    ("publish", "subscribe"),
    [
        ([], []),
        (["wearsight/v1/plant-1/+/tickets"], []),
        (["wearsight/v1/plant-1/+/+"], []),
        (["wearsight/v1/plant-1/#"], []),
        (["wearsight/v1/plant-1"], []),
        (["wearsight/v1/south/+/telemetry"], []),
        (["wearsight/v1/+/+/telemetry"], []),
        (["wearsight/+/plant-1/d1/telemetry"], []),
        (["wearsight/#"], []),
        ([], ["wearsight/v1/#"]),
        ([], ["wearsight/v1/south/+/tickets"]),
        (["#"], []),
        (["+/API/INFO"], []),
        ([], ["+/v1/plant-1/d1/telemetry"]),
        (["/leading"], []),
        (["$JS/API/STREAM"], []),
        ([], ["$SYS/#"]),
        ([], ["_INBOX/#"]),
        (["south/a/tele"], []),
        ([], ["south/#"]),
        (["a b/c"], []),
        (["a/*"], []),
        (["a/>"], []),
        (['a/"}.'], []),
        (["a/b\nuser x"], []),
        (["a/${username}"], []),
        (["a/%u"], []),
        (["a/#/b"], []),
        (["$share/g/a"], []),
        ([f"a/{number}" for number in range(21)], []),
    ],
)
def test_a_gateway_may_not_speak_or_listen_for_others(publish: list[str], subscribe: list[str]) -> None:
    with pytest.raises(Refused) as refused:
        check_gateway_filters("plant-1", publish, subscribe, FEEDS)
    assert refused.value.name == "invalid_gateway"
    assert refused.value.remedy


LEVELS = st.sampled_from(["wearsight", "v1", "plant-1", "south", "d1", "tickets", "telemetry", "+", "#", "$SYS", "x"])


@given(st.lists(LEVELS, min_size=1, max_size=6).map("/".join))
def test_what_a_gateway_is_let_publish_never_reaches_tickets_nor_another_site(one: str) -> None:
    try:
        check_gateway_filters("plant-1", [one], [], FEEDS)
    except Refused:
        return
    check_filter(one)
    assert not overlap(one, "wearsight/v1/+/+/tickets")
    assert not overlap(one, "wearsight/v1/south/#")
    assert not matches(one, "$SYS/x")


@pytest.mark.parametrize(
    ("topic_filter", "subjects"),
    [
        ("wearsight/v1/plant-1/d1/state", ["wearsight.v1.plant-1.d1.state"]),
        ("wearsight/v1/+/+/state", ["wearsight.v1.*.*.state"]),
        ("spBv1.0/#", ["spBv1//0.>", "spBv1//0"]),
        ("#", [">"]),
        ("/a//b/", ["/.a./.b./"]),
        ("a/b c", []),
        ("a/*", []),
        ("a/>/b", []),
    ],
)
def test_topics_become_subjects_as_nats_makes_them(topic_filter: str, subjects: list[str]) -> None:
    assert nats_subjects(topic_filter) == subjects


def test_a_rendered_secret_is_nowhere_but_checks_everywhere() -> None:
    secret = new_secret()
    assert len(base64.urlsafe_b64decode(secret)) * 8 >= 128
    hashes = hash_secret(secret)
    access = an_access(Login(device_grant("plant-1.d1.1", "plant-1", "d1"), hashes))
    rendered = [nats_users(access), mosquitto_passwords(access), mosquitto_acl(access), emqx_users(access)]
    assert not any(secret in text for text in rendered)
    nats = json.loads(nats_users(access).removeprefix("authorization "))["users"][1]
    assert bcrypt.checkpw(secret.encode(), nats["password"].encode())
    row = list(csv.DictReader(emqx_users(access).splitlines()))[1]
    derived = hashlib.pbkdf2_hmac("sha512", secret.encode(), row["salt"].encode(), 101)
    assert (row["user_id"], row["password_hash"], row["is_superuser"]) == ("plant-1.d1.1", derived.hex(), "false")
    line = mosquitto_passwords(access).splitlines()[1]
    assert line == f"plant-1.d1.1:{hashes.pbkdf2_hash}"
    assert base64.b64decode(line.split("$")[4]) == derived


def test_users_of_nats_may_come_by_mqtt_only_and_never_reach_its_inner_subjects() -> None:
    users = json.loads(nats_users(an_access(a_device_login("d1"), feeds=("+/x/#",))).removeprefix("authorization "))
    for user in users["users"]:
        assert user["allowed_connection_types"] == ["MQTT"]
        assert {"$JS.>", "$MQTT.>"} <= set(user["permissions"]["publish"]["deny"])
        assert "$JS.>" in user["permissions"]["subscribe"]["deny"]
    assert [user["user"] for user in users["users"]] == ["wearsight-service", "plant-1.d1.1", "anonymous"]


def test_equal_lists_render_equally_so_that_nothing_is_reloaded_for_nothing() -> None:
    login = a_device_login("d1")
    for render in (nats_users, mosquitto_passwords, mosquitto_acl, emqx_users, emqx_acl):
        assert render(an_access(login)) == render(an_access(login))


def test_mosquittos_rules_for_clients_without_a_name_come_before_every_user() -> None:
    rules = mosquitto_acl(an_access(a_device_login("d1"), feeds=("tele/#",)))
    anonymous, _, named = rules.partition("user ")
    assert "topic write tele/#" in anonymous
    assert "topic write wearsight/v1/+/+/telemetry" in anonymous
    assert "topic write wearsight/v1/plant-1/d1/telemetry" in named
    assert mosquitto_acl(an_access(a_device_login("d1"))).startswith("user ")


ERLANG_RULE = re.compile(
    r'\{allow, \{username, "[^"\\]+"\}, (?:publish|subscribe), \["[^"\\]+"(?:, "[^"\\]+")*\]\}\.|\{deny, all\}\.|%%.*'
)


def test_emqx_rules_are_erlang_terms_that_end_by_refusing_everything() -> None:
    lines = emqx_acl(an_access(a_device_login("d1"), a_gateway_login("g", ("车间/#",)))).splitlines()
    assert all(ERLANG_RULE.fullmatch(line) for line in lines), lines
    assert lines[-1] == "{deny, all}."
    assert sum(line.startswith("{allow, all") for line in lines) == 0


def test_a_gateways_filters_are_granted_as_they_were_saved() -> None:
    assert gateway_grant("g", ["a/#"], ["b/+"]).publish == ("a/#",)
    assert LIVE_LIMIT >= 2, "to rotate, a second one must fit"


def test_the_services_secret_is_made_once_and_private(tmp_path: Path) -> None:
    assert internal_address(tmp_path, "mqtt://127.0.0.1:1883") == "mqtt://127.0.0.1:1883"
    first = keep_service(tmp_path)
    assert keep_service(tmp_path) == first
    (kept,) = tmp_path.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert internal_address(tmp_path, "mqtt://127.0.0.1:1") == f"mqtt://{first.user}:{first.password}@127.0.0.1:1"
    assert Service("a@b", "c/d").address("mqtt://x:1") == "mqtt://a%40b:c%2Fd@x:1"
