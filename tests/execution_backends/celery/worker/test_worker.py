"""A real worker: what it runs, what it survives, what it says."""

import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.core.messages import Batch, Reply
from distribute_challenge.errors import CallTimeoutError, VersionMismatchError, WorkerLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.control import active, scale
from distribute_challenge.execution_backends.celery.broker.presence import workers
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.security import Purpose
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.calls import die_if, meet, process_after
from tests.execution_backends.celery.conftest import DEADLINE, Server
from tests.workers import WORKER_PROGRAM

pytestmark = [pytest.mark.celery, pytest.mark.slow]

Eventually = Callable[[Callable[[], bool]], None]


def test_every_process_of_the_worker_takes_part(cluster: LocalCluster, tmp_path: Path) -> None:
    """There are as many as were asked for."""
    assert len(processes_of(cluster, tmp_path / "both")) == 2


def test_a_call_that_kills_its_process_fails_and_harms_no_other(cluster: LocalCluster) -> None:
    """Its error says how the process died; its neighbours have their values."""
    futures = [die_if(number, 7).submit(cluster.backend) for number in range(40)]
    for number, future in enumerate(futures):
        if number == 7:
            with pytest.raises(
                WorkerLostError,
                match=r"die_if\(7, 7\): the worker process died \(.*exitcode 3.*3 times",
            ):
                future.result(DEADLINE)
        else:
            assert future.result(DEADLINE) == number


def test_a_map_survives_a_call_that_kills_its_process(cluster: LocalCluster) -> None:
    """The map has an error in the place of that call."""
    results = list(die_if.map(range(40), [23] * 40, on_error="return", backend=cluster.backend))
    assert [result for result in results if isinstance(result, int)] == [
        n for n in range(40) if n != 23
    ]
    assert isinstance(results[23], WorkerLostError)


def processes_of(cluster: LocalCluster, folder: Path) -> set[int]:
    """The processes of two calls that run at the same time."""
    folder.mkdir()
    calls = [meet(str(folder), 2).submit(cluster.backend) for _ in range(2)]
    return {call.result(DEADLINE)[0] for call in calls}


def test_a_loop_in_c_is_stopped_by_killing_its_process(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """No Python code runs in it that could be interrupted; the slot is free again afterwards."""

    @compute_this(timeout=0.3)
    def endless() -> int:
        return sum(range(10**12))

    with pytest.raises(CallTimeoutError, match=r"endless ran longer than timeout=0\.3 s.*killed"):
        endless().compute(cluster.backend, timeout=DEADLINE)
    assert len(processes_of(cluster, tmp_path / "both")) == 2


def test_prints_and_log_lines_stand_in_the_log_in_order_with_the_calls_name(
    cluster: LocalCluster, in_log: Callable[[str], str]
) -> None:
    """A line without an end stands there, too, once the call flushes it."""
    word = uuid.uuid4().hex

    @compute_this
    def talk() -> None:
        import sys

        print(word, "one\n" + word, "two")
        logging.getLogger("users").info("%s three", word)
        print(word, "four", file=sys.stderr)
        print(word, "five", end="", flush=True)

    talk().compute(cluster.backend)
    lines = [line for line in in_log(f"{word} five").splitlines() if word in line]
    assert [line.rpartition(" ")[2] for line in lines] == ["one", "two", "three", "four", "five"]
    assert all(f" [talk] {word}" in line for line in lines)
    assert " WARNING " in lines[3]


def test_celery_inspect_active_shows_the_name_of_the_function(
    cluster: LocalCluster, eventually: Eventually, tmp_path: Path
) -> None:
    """``celery inspect active`` shows it."""
    gate = tmp_path / "gate"

    @compute_this
    def wait_for_gate() -> None:
        while not gate.exists():
            time.sleep(0.01)

    future = wait_for_gate().submit(cluster.backend)
    try:
        eventually(lambda: "wait_for_gate" in str(active(cluster.broker_url)))
    finally:
        gate.touch()
    future.result(DEADLINE)


def test_events_of_celery_have_the_name_of_the_function(
    cluster: LocalCluster, eventually: Eventually
) -> None:
    """Flower lives on these; it asks workers to send them, as here."""
    app = Celery(broker=cluster.broker_url, set_as_current=False)
    names: list[str] = []

    def take(event: dict[str, Any]) -> None:
        names.append(event["name"])

    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"task-received": take})
        listener = threading.Thread(
            target=receiver.capture, kwargs={"timeout": 2 * DEADLINE, "wakeup": False}
        )
        listener.start()
        process_after(0).compute(cluster.backend)  # From here on the worker hears what it is told.
        app.control.enable_events(reply=True)
        try:
            # The listener misses earlier events, so send them until it hears one.
            eventually(
                lambda: process_after(0).compute(cluster.backend) > 0 and "process_after" in names
            )
        finally:
            receiver.should_stop = True
            process_after(0).compute(cluster.backend)  # One more event, to wake the listener.
            listener.join(DEADLINE)
            app.control.disable_events(reply=True)


def test_a_message_of_another_python_is_answered_with_both_versions(cluster: LocalCluster) -> None:
    """Its bytecode is not touched."""
    assert "2.7" in str(
        answer(
            cluster,
            Batch("b-1", "0" * 64, "old", [b"x"], python="2.7", issued=time.time()).encode(),
        ).problem
    )


def test_a_message_of_another_format_is_answered_with_a_version_problem(
    cluster: LocalCluster,
) -> None:
    """The worker answers as well as it can."""
    problem = answer(cluster, b"DCF9 something of the future").problem
    assert problem is not None
    assert problem.kind == "version"
    assert "DCF9" in problem.text


def test_a_cluster_without_workers_has_no_size(server: Server) -> None:
    """No worker answers."""
    assert scale(server.url, 2) is None


def answer(cluster: LocalCluster, frame: bytes) -> Reply:
    """What a worker says to a frame."""

    connection, replies = connect(cluster.broker_url), f"test:{uuid.uuid4().hex}"

    class Frame(Batch):
        def encode(self) -> bytes:
            try:
                return replace(Batch.decode(frame), reply_to=replies).encode()
            except VersionMismatchError:
                return frame

    batch = Frame("b-1", "0" * 64, "f", [b""], reply_to=replies, issued=time.time())
    message = message_for(batch, queue=DEFAULT_QUEUE, priority=0, keyring=connection.keyring)
    connection.lpush(message.key, message.data)
    found = connection.blpop([replies], timeout=DEADLINE / 2)
    assert found is not None
    return Reply.decode(connection.keyring.open(Purpose.reply(replies), found[1]))


def test_a_call_with_a_higher_priority_begins_before_earlier_calls(
    cluster: LocalCluster, eventually: Eventually, tmp_path: Path
) -> None:
    """A call of priority 9 is among the first to start, before those that came earlier and wait."""
    gate = tmp_path / "gate"

    @compute_this
    def wait_for_gate(order: str) -> float:
        while not gate.exists():
            time.sleep(0.01)
        return time.time()

    blockers = [wait_for_gate("blocker").submit(cluster.backend) for _ in range(2)]
    eventually(lambda: sum(len(tasks) for tasks in active(cluster.broker_url).values()) == 2)
    later = [wait_for_gate("later").submit(cluster.backend) for _ in range(4)]
    urgent = wait_for_gate.with_options(priority=9)("urgent").submit(cluster.backend)
    # The urgent one must be in the broker before a slot becomes free.
    eventually(lambda: urgent.batch is not None and urgent.batch.message is not None)  # type: ignore[attr-defined]
    gate.touch()
    started = [
        future.timeline.started
        for future in (urgent, *later)
        if future.result(DEADLINE) and future.timeline
    ]
    # Two slots became free together, so one of the others may have begun in the same moment.
    assert sum(other < started[0] for other in started[1:]) <= 1
    for blocker in blockers:
        blocker.result(DEADLINE)


SCRIPT = """
import pathlib
from distribute_challenge import compute_this
from pkg.inner.deep import area
import pkg.helper

run = compute_this(area)
print(run(2).compute(timeout=60))
pathlib.Path(pkg.helper.__file__).write_text("def scale(x):\\n    return x * 100\\n")
print(run(2).compute(timeout=60))
"""


def test_a_project_runs_on_a_worker_in_an_empty_folder(
    own_worker: tuple[Server, Path], tmp_path: Path
) -> None:
    """It runs after one of its files was edited, too."""
    server, _ = own_worker
    files = {
        "script.py": SCRIPT,
        "pkg/__init__.py": "",
        "pkg/inner/__init__.py": "",
        "pkg/inner/deep.py": "from ..helper import scale\n\ndef area(x):\n    return scale(x)\n",
        "pkg/helper.py": "def scale(x):\n    return x * 10\n",
    }
    for name, source in files.items():
        path = tmp_path / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "project" / "script.py")],
        env={**os.environ, "CELERY_BROKER_URL": server.url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.split() == ["20", "200"], done.stderr


def test_a_busy_worker_is_scaled_down_when_its_calls_end(
    server: Server, eventually: Eventually, tmp_path: Path
) -> None:
    """No running call is interrupted, and none is lost."""
    gate = tmp_path / "gate"

    @compute_this
    def wait_for_gate() -> int:
        while not gate.exists():
            time.sleep(0.01)
        return os.getpid()

    with LocalCluster(workers=2) as small:
        futures = [wait_for_gate().submit() for _ in range(2)]
        eventually(lambda: sum(len(tasks) for tasks in active(small.broker_url).values()) == 2)
        assert scale(small.broker_url, 1) == 2
        threading.Timer(0.2, gate.touch).start()
        small.scale(1)
        assert len({future.result(DEADLINE) for future in futures}) == 2
        eventually(
            lambda: [worker.concurrency for worker in workers(connect(small.broker_url))] == [1]
        )


@pytest.fixture
def own_worker(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Path]]:
    """A worker in an empty folder, on a server that can be stopped; and its log."""
    command = [*WORKER_PROGRAM, server.url, "1", "own"]
    log = server.folder / "own.log"
    empty = tmp_path_factory.mktemp("empty")
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=empty, stdout=output, stderr=output) as process,
    ):
        yield server, log
        process.terminate()
        process.wait(DEADLINE)


def test_a_worker_that_cannot_reply_tries_until_it_can(
    own_worker: tuple[Server, Path], eventually: Eventually, tmp_path: Path
) -> None:
    """The result of a call that ran is not thrown away."""
    server, log = own_worker
    gate, begun = tmp_path / "gate", tmp_path / "begun"

    @compute_this
    def wait_for_gate() -> str:
        begun.touch()
        while not gate.exists():
            time.sleep(0.01)
        return "kept"

    with CeleryExecutionBackend(server.url) as backend:
        future = wait_for_gate().submit(backend)
        eventually(begun.exists)
        server.stop()
        gate.touch()
        eventually(lambda: "cannot reply, trying again" in log.read_text())
        server.start()
        assert future.result(DEADLINE) == "kept"


def test_a_worker_survives_a_restart_of_redis_while_it_holds_a_call(
    own_worker: tuple[Server, Path], eventually: Eventually, tmp_path: Path
) -> None:
    """The call ends in its value, and the same worker runs the next one."""
    server, _ = own_worker
    gate, begun = tmp_path / "gate", tmp_path / "begun"

    @compute_this
    def parent_at_gate(gate: Path, begun: Path) -> int:
        begun.touch()
        while not gate.exists():
            time.sleep(0.01)
        return os.getppid()

    with CeleryExecutionBackend(server.url) as backend:
        unacked = parent_at_gate(gate, begun).submit(backend)
        eventually(begun.exists)
        server.stop()
        server.start()
        gate.touch()
        worker = unacked.result(DEADLINE)
        assert parent_at_gate(gate, begun).submit(backend).result(DEADLINE) == worker
