"""Keeps the embedded broker's users in step with the database: told of a change, it reads them anew and hands them on.

A revoked credential must stop working within a minute (SPEC E2); it takes about a second. The database tells of each
change when it commits. Whoever listened and lost the connection cannot know what it missed, so it reads anew too.
"""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import Connection

from domain.clock import Clock
from runtime.broker_access import Access, AccessReader, keep_service
from runtime.children import ServiceError
from runtime.embedded_broker import BROKERS, LoopbackBroker
from runtime.settings import Settings
from storage.database import connect
from storage.device_credentials import hash_secret, listen_for_changes

# A thousand devices that get their credentials one by one cause no thousand reloads.
EVERY_S = 1.0
AFTER_TROUBLE_S = 5.0


def furnish_broker(settings: Settings, database: str) -> tuple[LoopbackBroker, AccessReader]:
    """Return the embedded broker of these settings, not started, with the users of now; and what reads them later."""
    service = keep_service(settings.data_dir)
    reader = AccessReader(hash_secret(service.password), is_open=settings.broker_is_open())
    with connect(database) as connection:
        access = reader.read(connection)
    # Each kind has a folder of its own: neither could read the other's sessions.
    broker = BROKERS[settings.broker](
        settings.data_dir / f"broker-{settings.broker}",
        host=settings.broker_host,
        port=settings.broker_port,
        access=access,
        service=service,
    )
    return broker, reader


class Admission:
    """Call `look` often, from the thread that started the broker; ``admit`` is the broker's, ``trouble`` tells people.

    Nothing is raised for a database that is away or a list that the broker refuses: the broker goes on with the users
    it has, and it is tried again.
    """

    def __init__(
        self,
        database: str,
        reader: AccessReader,
        admit: Callable[[Access], bool],
        clock: Clock,
        trouble: Callable[[str], None],
    ) -> None:
        self._database = database
        self._reader = reader
        self._admit = admit
        self._clock = clock
        self._trouble = trouble
        self._connection: Connection | None = None
        self._is_due = True
        self._not_before_s = 0.0

    def look(self) -> None:
        """Hand on what changed, at most once a second."""
        if self._clock.monotonic_s() < self._not_before_s:
            return
        wait_s = EVERY_S
        try:
            if self._was_told() or self._is_due:
                self._is_due = True
                self._admit(self._reader.read(self._listening()))
                self._is_due = False
        except psycopg.Error:
            self.close()  # it is just being started again; the supervisor says so
        except ServiceError as error:
            self._trouble(str(error))
            wait_s = AFTER_TROUBLE_S
        self._not_before_s = self._clock.monotonic_s() + wait_s

    def close(self) -> None:
        """Hang up; the next look begins anew."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _was_told(self) -> bool:
        return len(list(self._listening().notifies(timeout=0))) > 0

    def _listening(self) -> Connection:
        if self._connection is None:
            self._is_due = True
            connection = connect(self._database)
            connection.autocommit = True
            self._connection = connection
            listen_for_changes(connection)
        return self._connection
