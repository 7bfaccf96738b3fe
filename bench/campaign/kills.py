"""Kills: of the ingester and the database in the middle of their work, and of the embedded broker."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from bench.campaign.house import House, a_house, a_stream, at_shares
from bench.campaign.outcome import Outcome, whole
from bench.campaign.sender import Sender

KILLS = 20
# Time for the ingester to come back between two kills of the broker, which takes it two to four seconds.
_BETWEEN_KILLS_S = 6


def kills_of_ingester_and_database(size: float, bug: str) -> Outcome:
    """0 lost, 0 doubled of 1,000,000 over 20 kill -9 each of ingester and database."""
    with a_house(bug=bug) as house:
        stream = a_stream(house, int(1_000_000 * size), per_second=5_000)
        house.start_ingester()
        sender = house.send(stream)

        def kill(step: int) -> None:
            house.wait_until_it_stores(sender)
            time.sleep(0.7 * random.random())
            if step % 4 == 0:  # for certain in the middle of a batch; else wherever it is
                with house.storing_held_up():
                    time.sleep(0.4)
                    house.stop_ingester()
            if step % 2 == 0:
                house.kill_ingester()
            else:
                house.kill_database()

        at_shares(sender, stream, 2 * kills(size), kill)
        return whole(house, house.wait_until_all_is_stored(stream, sender.finish(900), 900))


def kills_of_the_embedded_broker(size: float, bug: str) -> Outcome:
    """0 lost of 200,000 over 20 kill -9 of the embedded broker, while the ingester lives, dies, and is away."""
    with a_house(bug=bug) as house:
        stream = a_stream(house, int(200_000 * size), per_second=broker_kills_rate(200_000))
        house.start_ingester()
        sender = house.send(stream)
        at_shares(sender, stream, kills(size), lambda step: kill_broker(house, sender, step))
        return whole(house, house.wait_until_all_is_stored(stream, sender.finish(900), 600))


def kills(size: float) -> int:
    """How many kills at this size."""
    return max(3, round(KILLS * size))


def broker_kills_rate(messages: int) -> int:
    """Messages a second, of a campaign at full size."""
    return messages // (_BETWEEN_KILLS_S * KILLS)


def kill_broker(
    house: House,
    sender: Sender,
    step: int,
    *,
    when_back: Callable[[], None] = lambda: None,
    when_held_up: Callable[[], None] = lambda: None,
    when_away: Callable[[], None] = lambda: None,
    when_dead: Callable[[], None] = lambda: None,
) -> None:
    """In turn: the ingester is up, dies with the broker, is away while the broker dies.

    An ingester dies in the middle of storing. ``when_back`` is called when it stores again after the last time,
    ``when_held_up`` when it can store no more, ``when_away`` when it has died, ``when_dead`` when the broker has,
    before either comes back.
    """
    house.wait_until_it_stores(sender)
    when_back()
    dies = step % 3 > 0
    if dies:
        with house.storing_held_up():
            when_held_up()
            time.sleep(0.6)
            house.stop_ingester()
        when_away()
    if step % 3 == 2:
        time.sleep(0.5)
    house.kill_broker(when_dead)
    if dies:
        house.start_ingester()
