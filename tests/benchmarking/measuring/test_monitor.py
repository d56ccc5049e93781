"""Samples of a real Redis."""

import logging
import multiprocessing
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis

from distribute_challenge.benchmarking.measuring import monitor as module
from distribute_challenge.benchmarking.measuring.monitor import Monitor
from distribute_challenge.benchmarking.recording import Usage
from distribute_challenge.cluster.redis_server import server_program
from distribute_challenge.errors import ClusterStartError
from tests.processes import wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[int, str]]:
    """The port and the socket of one server."""
    folder = Path(tempfile.mkdtemp(prefix="dc", dir="/tmp"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = folder / "redis.sock"
    command = [
        server_program(),
        "--port",
        str(port),
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    process = subprocess.Popen([*command, "--bind", "127.0.0.1"], stdout=subprocess.DEVNULL)
    try:
        wait_until(path.exists, "the server's socket")
        yield port, str(path)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.02)


def usage() -> Mapping[str, Usage]:
    return {"worker-1": Usage(0.5, 1000)}


def test_samples_hold_queue_calls_connections_and_usage(server: tuple[int, str]) -> None:
    port, _ = server
    with redis.Redis(port=port) as own, socket.socket() as other:
        own.rpush("distribute_challenge", "message")
        own.rpush("distribute_challenge\x06\x169", "message", "message")
        other.bind(("127.0.0.2", 0))  # Another machine, as far as Redis can tell.
        other.connect(("127.0.0.1", port))
        with Monitor(f"redis://127.0.0.1:{port}/0", usage, epoch=0.0).watching(
            lambda: 7
        ) as samples:
            wait_until(
                lambda: len(samples) > 2 and "workers" in samples[-1].connections, "three samples"
            )
        own.flushall()
    taken = len(samples)
    last = samples[-1]
    assert (last.messages, last.in_flight, last.usage) == (3, 7, usage())
    assert last.connections == {"client": 1, "workers": 1}
    assert samples[0].time < samples[1].time < last.time
    assert len(samples) == taken


def test_connections_over_a_socket_all_come_from_this_machine(server: tuple[int, str]) -> None:
    with (
        redis.Redis(unix_socket_path=server[1]) as own,
        Monitor(f"redis+socket://{server[1]}", usage, epoch=0.0).watching(lambda: 0) as samples,
    ):
        own.ping()
        wait_until(lambda: samples and samples[-1].connections == {"all": 1}, "the own connection")


def test_a_sample_that_cannot_be_taken_is_left_out(
    server: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter([ClusterStartError("no engine"), OSError("gone")])

    def failing() -> Mapping[str, Usage]:
        for error in answers:
            raise error
        return usage()

    with (
        caplog.at_level(logging.WARNING),
        Monitor(f"redis://127.0.0.1:{server[0]}/0", failing, epoch=0.0).watching(
            lambda: 0
        ) as samples,
    ):
        wait_until(lambda: samples, "a sample")
    assert [record.getMessage() for record in caplog.records] == [
        "no sample of the cluster was taken: no engine",
        "no sample of the cluster was taken: gone",
    ]


def spin() -> None:
    while True:
        pass


def test_cpu_usage_of_other_programs_excludes_that_of_the_cluster(
    server: tuple[int, str],
) -> None:
    other = multiprocessing.get_context("spawn").Process(target=spin)
    other.start()
    used = 0.0

    def usage() -> Mapping[str, Usage]:
        return {"worker-1": Usage(used, 0)}

    try:
        with Monitor(f"redis://127.0.0.1:{server[0]}/0", usage, epoch=0.0).watching(
            lambda: 0
        ) as samples:
            wait_until(lambda: samples and samples[-1].others > 0.1, "another program's core")
            used = 1000.0  # All of it is the cluster's.
            wait_until(lambda: samples[-1].others == 0.0, "no other program")
    finally:
        other.kill()
        other.join()
