"""The web server's socket: what it accepts answers at once."""

from __future__ import annotations

import asyncio
import socket

import pytest

from api.server import listening_socket
from tests.loops import in_a_loop_of_its_own


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_answers_on_a_connection_kept_open_do_not_wait_for_the_client_to_acknowledge_their_headers(host: str) -> None:
    """Every answer was 40 ms late: the loop sends small packets at once only on sockets that say they speak TCP."""

    async def connect() -> None:
        found = asyncio.get_running_loop().create_future()

        async def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listening_socket(host, 0) as listener:
            async with await asyncio.start_server(accepted, sock=listener):
                _, writer = await asyncio.open_connection(host, listener.getsockname()[1])
                assert await asyncio.wait_for(found, 10)
                writer.close()

    in_a_loop_of_its_own(connect)


def test_an_address_that_is_taken_is_said_so_and_leaves_no_socket_open() -> None:
    with listening_socket("127.0.0.1", 0) as listener:
        listener.listen()
        with pytest.raises(OSError, match="in use"):
            listening_socket("127.0.0.1", listener.getsockname()[1])
