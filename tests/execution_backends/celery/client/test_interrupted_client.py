"""Clients that end before their calls do: by Ctrl+C, `close`, without Redis, or at exit."""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distribute_challenge import compute_this
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import CLIENTS
from distribute_challenge.execution_backends.celery.broker.presence import workers
from distribute_challenge.execution_backends.celery.broker.publishing import queue_length
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.processes import AFTER_CTRL_C, Program, script, wait_until
from tests.workers import WORKER_PROGRAM

pytestmark = [pytest.mark.celery, pytest.mark.slow]

Eventually = Callable[[Callable[[], bool]], None]

# Seconds that Ctrl+C may take, and that a slot may take after it: two, and the rest for a busy machine.
ENDS_WITHIN = 40.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder in which calls leave marks when they begin and end."""
    folder = tmp_path / "marks"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a worker of two processes, which do not belong to any client; each test sees
    that they are free again.
    """
    folder = tmp_path_factory.mktemp("shared")
    with (
        Server(tmp_path_factory.mktemp("r")) as server,
        (folder / "worker.log").open("w") as output,
        subprocess.Popen(
            [*WORKER_PROGRAM, server.url, "2", "shared"],
            cwd=folder,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            wait_until(lambda: len(workers(connect(server.url))) == 1)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE)
            finally:
                process.kill()


BEGINNING = """
import os, pathlib, sys, time
from distribute_challenge import compute_this

folder = pathlib.Path(sys.argv[1])

@compute_this
def run(number, folder=sys.argv[1]):
    open(f"{folder}/begun-{number}", "w").close()
    time.sleep(60)
    open(f"{folder}/ended-{number}", "w").close()
"""

WITHOUT_A_CALL_THAT_HAS_BEGUN = """
blockers = [run(number).submit() for number in range(2)]
futures = [run.with_options(queue="unserved")(number).submit() for number in range(2, 9)]
futures[0].result()
"""

SUBMIT = """
futures = [run(number).submit() for number in range(10)]
while len(list(folder.glob("begun-*"))) < 2: time.sleep(0.01)
for number in range(10, 100_000): futures.append(run(number).submit())
print("all submitted", flush=True)
while True: time.sleep(1)
"""

# What a script does, and how many calls of it run at a time.
SITUATIONS = {
    "compute": ("run(0).compute()", 1),
    "map": ("list(run.map(range(20), batch_size=1))", 2),
    "map of chunks": ("list(run.map(range(20), batch_size=5))", 2),
    "result": ("futures = [run(number).submit() for number in range(50)]\nfutures[0].result()", 2),
    "result of a call that has not begun": (WITHOUT_A_CALL_THAT_HAS_BEGUN, 2),
    "submit": (SUBMIT, 2),
}


def interrupt(running: Program, slots: int, folder: Path, eventually: Eventually) -> None:
    """Press Ctrl+C when so many calls run, and see that the script ends as scripts do."""
    eventually(
        lambda: len(list(folder.glob("begun-*"))) >= slots or running.process.poll() is not None
    )
    running.send(signal.SIGINT)
    pressed = time.monotonic()
    code = running.wait()
    assert time.monotonic() - pressed < ENDS_WITHIN
    assert "KeyboardInterrupt" in running.output
    assert "Exception ignored" not in running.output
    assert code in AFTER_CTRL_C


def check_all_is_free(shared: Server, eventually: Eventually, folder: Path) -> None:
    """A new client's calls run on both slots soon, and nothing of the old one is left."""
    began = time.monotonic()
    with CeleryExecutionBackend(shared.url) as backend:
        together = threading.Barrier(2)

        def call() -> None:
            together.wait(DEADLINE)
            compute_this(time.sleep)(0.3).compute(backend, timeout=DEADLINE)

        callers = [threading.Thread(target=call) for _ in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(DEADLINE)
    assert time.monotonic() - began < ENDS_WITHIN
    connection = connect(shared.url)
    assert queue_length(connection, DEFAULT_QUEUE) == queue_length(connection, "unserved") == 0
    eventually(lambda: connection.hlen("distribute_challenge:unacked") == 0)
    assert connection.hlen(CLIENTS) == 0
    assert not list(connection.scan_iter("distribute_challenge:replies:*"))
    assert not list(folder.glob("ended-*"))


@pytest.mark.parametrize("situation", SITUATIONS)
def test_ctrl_c_cancels_what_a_script_has_submitted(
    situation: str, shared: Server, tmp_path: Path, folder: Path, eventually: Eventually
) -> None:
    """It ends within two seconds, and the workers are free within two more."""
    ending, slots = SITUATIONS[situation]
    with script(BEGINNING + ending, tmp_path, str(folder), CELERY_BROKER_URL=shared.url) as running:
        interrupt(running, slots, folder, eventually)
    check_all_is_free(shared, eventually, folder)


@pytest.mark.usefixtures("unmeasured")
def test_ctrl_c_ends_a_client_with_a_hundred_thousand_calls(
    shared: Server, tmp_path: Path, folder: Path, eventually: Eventually
) -> None:
    with script(BEGINNING + SUBMIT, tmp_path, str(folder), CELERY_BROKER_URL=shared.url) as running:
        running.wait_for("all submitted", within=60)
        interrupt(running, 2, folder, eventually)
    check_all_is_free(shared, eventually, folder)


def test_closing_a_backend_cancels_its_waiting_and_running_calls(
    shared: Server, folder: Path, eventually: Eventually
) -> None:
    """The program may go on afterwards."""

    @compute_this
    def run(number: int) -> None:
        (folder / f"begun-{number}").touch()
        time.sleep(60)
        (folder / f"ended-{number}").touch()

    with CeleryExecutionBackend(shared.url) as backend:
        futures = [run(number).submit(backend) for number in range(1000)]
        eventually(lambda: len(list(folder.glob("begun-*"))) == 2)
        began = time.monotonic()
    assert time.monotonic() - began < ENDS_WITHIN
    assert all(future.cancelled() for future in futures)
    check_all_is_free(shared, eventually, folder)


def test_the_end_of_a_script_cancels_calls_that_no_caller_waits_for(
    shared: Server, tmp_path: Path, folder: Path, eventually: Eventually
) -> None:
    ending = "futures = [run(number).submit() for number in range(50)]\nwhile len(list(folder.glob('begun-*'))) < 2: time.sleep(0.01)"
    with script(BEGINNING + ending, tmp_path, str(folder), CELERY_BROKER_URL=shared.url) as running:
        assert running.wait() == 0
        # Nothing else: Python 3.12.0 to 3.12.2 start no thread any more, and would say so.
        (line,) = running.output.splitlines()
        assert line.startswith("sys:1: NeverRunWarning: 50 submitted calls")
    check_all_is_free(shared, eventually, folder)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_ctrl_c_does_not_wait_for_a_broker_that_is_gone_or_silent(
    how: signal.Signals, server: Server, tmp_path: Path, folder: Path, eventually: Eventually
) -> None:
    """The script ends in the same time."""
    ending = "futures = [run(number).submit() for number in range(100)]\nprint('submitted', flush=True)\nfutures[0].result()"
    with script(BEGINNING + ending, tmp_path, str(folder), CELERY_BROKER_URL=server.url) as running:
        running.wait_for("submitted")
        assert server._process is not None
        server._process.send_signal(how)
        interrupt(running, 0, folder, eventually)
