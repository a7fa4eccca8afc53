# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.sandbox.tcp_echo: every byte comes back, errors are kept, no thread is left."""

import gc
import os
import socket
import struct
import threading
import warnings
from collections.abc import Iterator

import pytest

from lkltest.sandbox.tcp_echo import EchoPeer

SECONDS = 20.0


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    address = "127.0.0.1" if request.param == socket.AF_INET else "::1"
    try:
        listening = socket.create_server((address, 0), family=request.param)
    except OSError as error:
        pytest.skip(f"no loopback: {error.strerror}")
    with listening:
        yield listening


def connect(listener: socket.socket) -> socket.socket:
    return socket.create_connection(listener.getsockname()[:2], SECONDS)


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Send all of `data` while reading what comes back, then close the sending side."""
    sender = threading.Thread(target=lambda: (connection.sendall(data), half_close(connection)))
    sender.start()
    received = b""
    while chunk := connection.recv(1 << 16):
        received += chunk
    sender.join()
    return received


def half_close(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)


def test_every_byte_comes_back(listener: socket.socket) -> None:
    data = os.urandom(4 << 20)
    with EchoPeer(listener) as peer, connect(listener) as connection:
        assert exchange(connection, data) == data
    assert peer.echoed == len(data)
    assert peer.errors == []


def test_an_empty_connection_is_no_error(listener: socket.socket) -> None:
    with EchoPeer(listener) as peer, connect(listener) as connection:
        assert exchange(connection, b"") == b""
    assert (peer.echoed, peer.errors) == (0, [])


def test_many_connections_at_once(listener: socket.socket) -> None:
    data = [bytes([number]) * 100_000 for number in range(20)]
    back: dict[int, bytes] = {}

    def one(number: int) -> None:
        with connect(listener) as connection:
            back[number] = exchange(connection, data[number])

    with EchoPeer(listener) as peer:
        clients = [threading.Thread(target=one, args=(number,)) for number in range(20)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(SECONDS)
    assert [back[number] for number in range(20)] == data
    assert peer.echoed == 20 * 100_000


def test_several_listeners_are_served_by_one_peer() -> None:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    with EchoPeer(*listeners) as peer:
        for listener in (*listeners, listeners[0]):
            with connect(listener) as connection:
                assert exchange(connection, b"x" * 10) == b"x" * 10
    assert peer.echoed == 30


def test_a_reset_is_kept_as_one_line(listener: socket.socket) -> None:
    with EchoPeer(listener) as peer, connect(listener) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        abort = struct.pack("ii", 1, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abort)
        connection.close()
        while not peer.errors:  # a hang here is ended by whoever runs the tests
            threading.Event().wait(0.001)
    assert peer.errors == ["echo peer: Connection reset by peer"]


@pytest.mark.parametrize("client", ["none", "silent", "gone"])
def test_nothing_is_left_behind(listener: socket.socket, client: str) -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        connection = None
        with EchoPeer(listener):
            if client != "none":
                connection = connect(listener)
            if client == "gone" and connection is not None:
                connection.close()
        if connection is not None:
            connection.close()
        gc.collect()
    assert listener.fileno() == -1, "the listener is closed with the peer"
    assert set(threading.enumerate()) == before
    assert [warning for warning in caught if warning.category is ResourceWarning] == []


def test_it_ends_also_when_its_user_failed(listener: socket.socket) -> None:
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError), EchoPeer(listener), connect(listener):
        raise RuntimeError
    assert set(threading.enumerate()) == before


class LateListener(socket.socket):
    """Accepts a connection, and says so some time later."""

    reached = threading.Event()
    may_go_on = threading.Event()

    def accept(self) -> tuple[socket.socket, object]:
        accepted = super().accept()
        self.reached.set()
        self.may_go_on.wait(30)
        return accepted


def test_a_connection_that_comes_with_the_end_leaves_nothing() -> None:
    before = set(threading.enumerate())
    listener = LateListener()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    with EchoPeer(listener):
        connection = connect(listener)
        assert listener.reached.wait(30)
        later = threading.Timer(0.2, listener.may_go_on.set)
        later.start()
    later.join()
    connection.close()
    assert set(threading.enumerate()) == before
