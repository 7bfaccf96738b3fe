"""The embedded broker's inner subjects, on the real server: no grant, however wide, reaches them (SPEC E2).

At NATS the server's own traffic passes by subjects that MQTT topics can name: ``$MQTT/msgs/...`` is what a session is
given to read, ``$JS/API/...`` orders its store. A filter with a wildcard in the first place would select them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from runtime.broker_access import Access
from runtime.embedded_broker import NatsBroker
from tests.broker_builders import (
    SERVICE,
    SITE,
    Client,
    a_client,
    a_device_login,
    a_gateway_login,
    an_access,
    hears,
    the_ingester,
)
from tests.services_builders import an_open_folder, eventually

QUIET_S = 1.0
FOREIGN = f"wearsight/v1/{SITE}/d2/telemetry"
# topic -> payload; the store obeys orders without a payload only.
INNER_TOPICS = {
    "$SYS/x": "x",
    "$SYS/REQ/SERVER/PING": "",
    "$JS/API/STREAM/PURGE/$MQTT_msgs": "",
    "$JS/API/STREAM/DELETE/$MQTT_msgs": "",
    "$JS/API/STREAM/DELETE/$MQTT_sess": "",
    "$JS/ACK/x": "x",
    "$MQTT/msgs/" + FOREIGN: "as d2",
    "$MQTT/msgs/wearsight/v1/other/d1/telemetry": "as another site's",
    "$MQTT/rmsgs/" + FOREIGN: "as d2",
    "$MQTT/sub/x": "x",
    "$MQTT/deliver/pubrel/x": "x",
    "_INBOX/x": "x",
}
WIDE_FILTERS = ("#", "+/#", "+/+/#")

Start = Callable[[Access], tuple[NatsBroker, str]]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[NatsBroker] = []
    with an_open_folder() as folder:

        def begin(access: Access) -> tuple[NatsBroker, str]:
            running.append(NatsBroker(folder / "broker", access=access, service=SERVICE))
            return running[-1], running[-1].start()

        yield begin
        for broker in running:
            broker.stop()


def refused_subjects(broker: NatsBroker, what: str) -> set[str]:
    """What the server says it has refused to publish or to subscribe to."""
    return set(re.findall(rf'{what} Violation - .*?Subject "([^"]+)"', broker.log.read_text()))


def as_subject(topic: str) -> str:
    return topic.replace("/", ".")


def send_everything_inner(url: str, client_id: str, user: str | None) -> None:
    """Try every inner topic, at either QoS, then say something that is allowed."""
    with a_client(url, client_id, user) as client:
        for topic, payload in INNER_TOPICS.items():
            client.publish(topic, payload, qos=0)
            client.publish(topic, payload, qos=1)
        client.publish("mill/x/y", f"{client_id} is done")


def test_no_grant_however_wide_speaks_on_the_inner_subjects(start: Start) -> None:
    """Nobody is spoken for, nothing that waits is lost, and the server names each refusal."""
    gateways = [a_gateway_login(f"gw{place}", (one,)) for place, one in enumerate(WIDE_FILTERS)]
    broker, url = start(an_access(a_device_login("d1"), *gateways, feeds=WIDE_FILTERS))
    with the_ingester(url):
        pass
    with a_client(url, "d1", f"{SITE}.d1.1") as device:
        device.publish(f"wearsight/v1/{SITE}/d1/telemetry", "waits for the ingester")
        device.publish(f"wearsight/v1/{SITE}/d1/state", "retained", retain=True)
    with a_client(url, "everything", SERVICE.user, SERVICE.password) as everything:
        assert everything.subscribe("#")
        assert hears(everything, "retained")
        for client_id, user in [(f"gw{place}", f"gw{place}") for place in range(len(gateways))] + [("open", None)]:
            send_everything_inner(url, client_id, user)
            assert hears(everything, f"{client_id} is done")
        time.sleep(QUIET_S)
        heard = {text for text in everything.texts() if not text.endswith("is done")}
        assert heard == {"retained"}
    with the_ingester(url) as ingester:
        assert ingester.sessions == [True]
        assert hears(ingester, "waits for the ingester")
        time.sleep(QUIET_S)
        assert set(ingester.texts()) == {"waits for the ingester", "retained"}
    assert {as_subject(topic) for topic in INNER_TOPICS} <= refused_subjects(broker, "Publish")


def test_no_grant_however_wide_listens_to_the_inner_subjects(start: Start) -> None:
    """There pass the names of sessions, what they subscribe to, and every message that is stored."""
    inner = ("$SYS/#", "$JS/#", "$JS/API/#", "$MQTT/#", "$MQTT/msgs/#", "_INBOX/#")
    spy_login = a_gateway_login("spy", (), ("#", "+/#", *inner))
    broker, url = start(an_access(a_device_login("d1"), spy_login))
    with a_client(url, "spy", "spy") as spy:
        assert spy.subscribe("#")
        assert [one for one in inner if spy.subscribe(one)] == []
        with the_ingester(url), a_client(url, "d1", f"{SITE}.d1.1", clean=False) as device:
            device.publish(f"wearsight/v1/{SITE}/d1/telemetry", "of d1")
            assert hears(spy, "of d1")
        time.sleep(QUIET_S)
        assert {topic for topic, _ in spy.got} == {f"wearsight/v1/{SITE}/d1/telemetry"}
    assert {"$SYS.>", "$JS.>", "_INBOX.>"} <= refused_subjects(broker, "Subscription")


BESIDE = [
    "wearsight/v1/other/d2/telemetry",
    f"wearsight/v1/{SITE}/d2/x/telemetry",
    f"wearsight/v1/{SITE}/d2/tickets",
    f"wearsight/v1/{SITE}.d2/telemetry",
    f"wearsight/v1/{SITE}/d2.telemetry",
    f"wearsight/v1/{SITE}/d2/telemetry.x",
    f"wearsight.v1.{SITE}.d2.telemetry",
    f"wearsight.v1/{SITE}/d2/telemetry",
    f"wearsight/v1/{SITE}//d2/telemetry",
    f"wearsight/v1/>/{SITE}/telemetry",
    "wearsight/v1/*/d2/telemetry",
    f"/wearsight/v1/{SITE}/d2/telemetry",
]


def test_a_filter_of_one_site_lets_nothing_through_beside_it(start: Start) -> None:
    """Dots are levels to NATS, and stars wildcards: a name with one in it must stay one level, and itself."""
    _, url = start(an_access(a_gateway_login("gw", (f"wearsight/v1/{SITE}/+/telemetry",))))
    odd = [f"wearsight/v1/{SITE}/{name}/telemetry" for name in ("d.2", "*", "d2.*", ">x", ".")]
    with (
        a_client(url, "everything", SERVICE.user, SERVICE.password) as everything,
        a_client(url, "only-d2", SERVICE.user, SERVICE.password) as only_d2,
        a_client(url, "gw", "gw") as gateway,
    ):
        assert everything.subscribe("#")
        assert only_d2.subscribe(FOREIGN)
        for topic in (*BESIDE, *odd, FOREIGN):
            gateway.publish(topic, topic)
        assert hears(only_d2, FOREIGN)
        assert eventually(lambda: FOREIGN in everything.texts())
        time.sleep(QUIET_S)
        assert set(only_d2.got) == {(FOREIGN, FOREIGN)}
        assert set(everything.texts()) <= {*odd, FOREIGN}
        assert [(topic, text) for topic, text in everything.got if topic != text] == []


def test_a_client_that_was_refused_stays_connected_and_is_heard_where_it_may_speak(start: Start) -> None:
    """SPEC E4: a gateway that errs in one topic loses nothing of the others."""
    _, url = start(an_access(a_gateway_login("gw", ("#",))))

    def says(client: Client, text: str) -> bool:
        client.publish(FOREIGN, text)
        return hears(ingester, text)

    with the_ingester(url) as ingester, a_client(url, "gw", "gw") as gateway:
        for number, (topic, payload) in enumerate(INNER_TOPICS.items()):
            gateway.publish(topic, payload)
            assert says(gateway, f"after {number}")
        assert gateway.lost == 0
