"""A real Redis that is killed, emptied and full."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from benchmarks.rig.redis_process import RedisProcess
from distribute_challenge.errors import ClusterStartError
from tests.processes import command_lines


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    server = RedisProcess(tmp_path / "redis")
    server.start()
    yield server
    server.close()


def test_a_written_key_survives_a_kill_and_restart_of_redis(server: RedisProcess) -> None:
    before = server.pid, server.url
    with server.connection() as connection:
        connection.set("key", "value")
    server.kill()
    assert not server.answers()
    server.start()
    with server.connection() as connection:
        assert connection.get("key") == b"value"
    assert server.pid != before[0]
    assert server.url == before[1]


def test_empty_removes_all_keys(server: RedisProcess) -> None:
    with server.connection() as connection:
        connection.set("key", "value")
        server.empty()
        assert connection.dbsize() == 0


def test_a_full_redis_refuses_writes_and_keeps_its_data_until_it_is_freed(
    server: RedisProcess,
) -> None:
    with server.connection() as connection:
        connection.set("key", "value")
        server.fill()
        with pytest.raises(redis.OutOfMemoryError):
            connection.rpush("list", "x")
        assert connection.get("key") == b"value"
        server.free()
        assert connection.rpush("list", "x") == 1


@pytest.mark.slow
def test_redis_requires_its_password_which_is_on_no_command_line(server: RedisProcess) -> None:
    with redis.Redis(port=server.port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert server.password not in str(command_lines())


def test_a_redis_that_does_not_start_is_an_error_with_its_last_lines(
    server: RedisProcess, tmp_path: Path
) -> None:
    second = RedisProcess(tmp_path / "second")
    second.port, second.password = server.port, "another"
    with pytest.raises(
        ClusterStartError,
        match=rf"(?s)port {server.port}; its last lines:\n .*ddress already in use",
    ):
        second.start()
    second.close()
