"""The control: a subscriber that is nothing of ours, on a broker that is set up and killed as the one that is tried.

What it does not hear, though the broker acknowledged it to the sender, the broker itself has lost.
"""

from __future__ import annotations

import select
import socket
import threading
import time

from bench.campaign import packets

_READ_BYTES = 65_536
_ANSWER_WITHIN_S = 60.0


class Listener:
    """A session that the broker keeps: notes what comes, then acknowledges it. Comes back when it is cut off.

    ``topic`` None: take what waits in a session that is there already, and subscribe to nothing.
    """

    def __init__(self, port: int, client_id: str = "control", topic: bytes | None = b"#") -> None:
        self._port = port
        self._client_id = client_id
        self._topic = topic
        self._heard: set[tuple[bytes, bytes]] = set()
        self._last_s = time.monotonic()
        self._stop = threading.Event()
        self._granted = threading.Event()
        self._thread: threading.Thread | None = None
        self._holds = False
        self.start()

    @property
    def heard(self) -> frozenset[tuple[bytes, bytes]]:
        """Topics and payloads of what came so far."""
        return frozenset(self._heard.copy())

    def start(self) -> None:
        """Come back."""
        self._stop.clear()
        self._holds = False
        self._last_s = time.monotonic()  # quiet is what says nothing although it is there
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def hold(self) -> None:
        """Take what comes and neither note nor acknowledge it, as one does whose storing is held up."""
        self._holds = True

    def stop(self) -> None:
        """Go away without a word; the session stays."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(20)

    def wait_until_listening(self) -> None:
        """Wait until the broker has granted the subscription."""
        if not self._granted.wait(_ANSWER_WITHIN_S):
            raise TimeoutError(f"not within {_ANSWER_WITHIN_S:.0f} s: the broker grants the control's subscription")

    def wait_until_quiet(self, quiet_s: float, within_s: float) -> None:
        """Wait until nothing new has come for a while, or the time is over."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and time.monotonic() - self._last_s < quiet_s:
            time.sleep(0.1)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with packets.connect(self._port, self._client_id, clean=False) as connection:
                    if self._topic is not None:
                        connection.sendall(packets.subscribe(self._topic))
                    self._listen(connection)
            except OSError:
                self._stop.wait(0.1)

    def _listen(self, connection: socket.socket) -> None:
        buffered = b""
        while not self._stop.is_set():
            if not select.select([connection], [], [], 0.05)[0]:
                continue
            data = connection.recv(_READ_BYTES)
            if not data:
                raise OSError("closed by the other side")
            found, buffered = packets.split(buffered + data)
            answers = []
            for packet in found:
                if packet.kind == packets.SUBACK:
                    self._granted.set()
                elif packet.kind == packets.PUBLISH and not self._holds:
                    packet_id, topic, payload = packets.read_publish(packet)
                    self._heard.add((topic, payload))
                    self._last_s = time.monotonic()
                    if packet_id:
                        answers.append(packets.acknowledge(packet_id))
            connection.sendall(b"".join(answers))
