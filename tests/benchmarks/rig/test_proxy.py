"""A line that leads to an echo, and what can happen to it."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from benchmarks.ports import free_port
from benchmarks.rig.proxy import Proxy
from tests.processes import PATIENCE

SILENT = 0.3  # Seconds in which an echo would have come.


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(1 << 16):
            self.request.sendall(data)


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Lines that are cut are what this is about."""


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    with Proxy(echo) as proxy:
        yield proxy


def line(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=PATIENCE)


def echoed(connection: socket.socket, data: bytes = b"hello") -> bytes:
    connection.sendall(data)
    return heard(connection, len(data))


def heard(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        data = connection.recv(length - len(found))
        assert data, "the other side has ended"
        found += data
    return found


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(SILENT)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(PATIENCE)
    return False


def test_the_proxy_passes_data_through_unchanged_on_each_connection(proxy: Proxy) -> None:
    large = bytes(range(256)) * 10_000
    with line(proxy) as first, line(proxy) as second:
        assert echoed(first, b"first") == b"first"
        sender = threading.Thread(target=second.sendall, args=(large,))
        sender.start()
        assert heard(second, len(large)) == large
        sender.join()


def test_the_proxy_passes_on_all_data_and_the_end_of_a_connection(proxy: Proxy) -> None:
    with line(proxy) as connection:
        connection.sendall(b"the last words")
        assert heard(connection, 14) == b"the last words"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_cut_resets_connections_and_new_ones_can_be_made(proxy: Proxy) -> None:
    with line(proxy) as connection:
        echoed(connection)
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with line(proxy) as connection:
        assert echoed(connection) == b"hello"


def test_a_silenced_connection_stays_silent_until_healed_while_new_ones_work(proxy: Proxy) -> None:
    with line(proxy) as old:
        echoed(old)
        proxy.silence()
        old.sendall(b"kept")
        assert is_silent(old)
        with line(proxy) as new:
            assert echoed(new) == b"hello"
        proxy.heal()
        assert heard(old, 4) == b"kept"


def test_silencing_new_connections_accepts_them_and_passes_nothing_on_until_healed(
    proxy: Proxy,
) -> None:
    with line(proxy) as old:
        echoed(old)
        proxy.silence(new=True)
        with line(proxy) as new:
            new.sendall(b"new")
            assert is_silent(new)
            old.close()
            proxy.heal()
            assert heard(new, 3) == b"new"


def test_a_silenced_connection_can_be_cut(proxy: Proxy) -> None:
    with line(proxy) as connection:
        echoed(connection)
        proxy.silence()
        connection.sendall(b"never heard")
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_refusing_proxy_refuses_connections_until_healed_at_the_same_port(proxy: Proxy) -> None:
    port = proxy.port
    with line(proxy) as connection:
        echoed(connection)
        proxy.refuse()
        proxy.refuse()  # Nothing more happens.
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionRefusedError):
        line(proxy)
    proxy.heal()
    assert proxy.port == port
    with line(proxy) as connection:
        assert echoed(connection) == b"hello"


def test_a_slow_line_takes_its_time_in_both_directions(proxy: Proxy) -> None:
    with line(proxy) as connection:
        proxy.slow_down(0.1)
        begun = time.monotonic()
        assert echoed(connection) == b"hello"
        assert time.monotonic() - begun >= 0.2
        proxy.heal()


def test_a_narrow_line_is_shared_by_its_connections_until_it_is_healed(proxy: Proxy) -> None:
    with line(proxy) as first, line(proxy) as second:
        echoed(first)
        echoed(second)
        proxy.narrow(5_000)
        begun = time.monotonic()
        for connection in (first, second):
            connection.sendall(bytes(1_000))
        for connection in (first, second):
            heard(connection, 1_000)
        assert (
            time.monotonic() - begun >= 0.4 + 0.2
        )  # There, the second behind the first, and back.
        proxy.narrow(1)
        first.sendall(b"hello")
        assert is_silent(first)
        proxy.heal()
        assert heard(first, 5) == b"hello"


def test_a_line_to_a_port_without_a_server_is_reset() -> None:
    with (
        Proxy(free_port()) as proxy,
        pytest.raises(ConnectionResetError),
        line(proxy) as connection,
    ):
        connection.recv(1)


def test_a_proxy_can_be_closed_before_its_start_and_twice(echo: int, proxy: Proxy) -> None:
    Proxy(echo).close()
    proxy.close()
    proxy.close()
