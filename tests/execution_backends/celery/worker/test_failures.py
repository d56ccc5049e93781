"""Failed and cancelled calls in Celery's events, Flower, OpenTelemetry and the worker's log.

One real worker for all of it, started by Celery's own command from a module that sets up
OpenTelemetry as its users do.
"""

import json
import os
import re
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import distribute_challenge
from distribute_challenge import compute_this
from distribute_challenge.errors import SerialisationError, WorkerLostError
from distribute_challenge.execution_backends.celery.client import pending
from distribute_challenge.execution_backends.celery.worker.failure_log import MOST
from tests.execution_backends.celery.conftest import DEADLINE
from tests.execution_backends.celery.worker.observed import Observed
from tests.optional import needed
from tests.processes import program, wait_until

needed("flower")
needed("opentelemetry.instrumentation.celery")
needed("opentelemetry.sdk")

pytestmark = [pytest.mark.celery, pytest.mark.slow]


class OutOfStockError(Exception):
    """What a worker's main process could not import."""


@compute_this
def order(item: str, count: int = 1) -> str:
    if count < 1:
        raise OutOfStockError(f"no {item}")
    return item


def test_a_call_that_raised_is_a_failed_task(observed: Observed) -> None:
    """It has the exception's own text, class and traceback, without frames of this library."""
    with pytest.raises(OutOfStockError):
        order("tea", 0).compute(observed.backend)
    event = observed.event_of("order", "task-failed", "task-succeeded")
    assert (event["type"], event["exception"]) == ("task-failed", "OutOfStockError('no tea')")
    text = event["traceback"]
    assert f'File "{__file__}", line ' in text
    assert text.rstrip().endswith("OutOfStockError: no tea")
    assert str(Path(distribute_challenge.__file__).parent) not in text
    assert order("tea").compute(observed.backend) == "tea"


def test_a_message_of_many_calls_says_how_many_raised(
    observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the calls get their outcomes."""
    # A worker on a busy machine would give some of them back.
    monkeypatch.setattr(pending, "patience", lambda _: 600.0)

    @compute_this
    def halve(number: int) -> float:
        if number % 100 == 3:
            raise ValueError("odd one")
        return number / 2

    results = list(
        halve.map(range(500), batch_size=500, on_error="return", backend=observed.backend)
    )
    assert [number for number, result in enumerate(results) if isinstance(result, ValueError)] == [
        3,
        103,
        203,
        303,
        403,
    ]
    event = observed.event_of("halve ×500", "task-failed", "task-succeeded")
    assert (event["type"], event["exception"]) == (
        "task-failed",
        "ValueError('odd one') in 5 of 500 calls",
    )
    assert "ValueError: odd one (in 5 of 500 calls)" in event["traceback"]


def test_a_result_that_cannot_be_sent_is_a_failed_task(observed: Observed) -> None:
    @compute_this
    def lock() -> Any:
        return threading.Lock()

    with pytest.raises(SerialisationError):
        lock().compute(observed.backend)
    event = observed.event_of("lock", "task-failed", "task-succeeded")
    assert event["exception"].startswith('SerialisationError("the result of ')


@pytest.mark.parametrize(
    "kind", ["SystemExit", "MemoryError", "KeyboardInterrupt", "celery.exceptions.Ignore", "Retry"]
)
def test_exceptions_of_a_call_that_celery_treats_specially_fail_the_task(
    observed: Observed, kind: str
) -> None:
    """It neither ends the process, nor runs the task again, nor counts as success."""

    @compute_this
    def leave(kind: str) -> None:
        import celery.exceptions

        errors = {
            "celery.exceptions.Ignore": celery.exceptions.Ignore,
            "Retry": celery.exceptions.Retry,
        }
        raise errors.get(kind) or getattr(__import__("builtins"), kind)("of the user")

    before = sum(event["type"] == "task-failed" for event in list(observed.events))
    error = leave(kind).submit(observed.backend).exception(DEADLINE)
    assert error is not None
    assert not isinstance(error, WorkerLostError)
    wait_until(
        lambda: (
            sum(event["type"] == "task-failed" for event in list(observed.events)) == before + 1
        ),
        "the event of a failed task",
    )
    assert kind.rpartition(".")[2] in observed.event_of("leave", "task-failed")["exception"]


@pytest.mark.parametrize("reacts", [True, False])
def test_a_cancelled_call_is_a_revoked_task(
    observed: Observed, tmp_path: Path, reacts: bool
) -> None:
    """So is a call whose process was killed to cancel it."""
    begun = tmp_path / "begun"

    def rest() -> None:
        begun.touch()
        time.sleep(60) if reacts else sum(range(10**12))

    rest.__name__ = f"rest_{reacts}"
    future = compute_this(rest)().submit(observed.backend)
    wait_until(begun.exists, "the call's begin")
    assert future.cancel(force=True)
    event = observed.event_of(rest.__name__, "task-revoked", "task-failed", "task-succeeded")
    assert (event["type"], event["terminated"]) == ("task-revoked", True)


def test_a_call_that_ends_its_process_is_a_failed_task_with_worker_lost_error(
    observed: Observed,
) -> None:
    """The event has the error itself, not the wrapper that it comes in."""

    @compute_this
    def die() -> None:
        os._exit(3)

    with pytest.raises(WorkerLostError):
        die().compute(observed.backend)
    assert observed.event_of("die", "task-failed")["exception"].startswith(
        "WorkerLostError('Worker exited prematurely"
    )


def test_opentelemetry_sees_the_exception(observed: Observed) -> None:
    """A span with an error, and the exception in it; one of a call that gave a value has none."""

    @compute_this
    def measure(item: str) -> str:
        if not item:
            raise OutOfStockError("nothing to measure")
        return item

    futures = [measure(item).submit(observed.backend) for item in ("", "tea")]
    for future in futures:
        future.exception(DEADLINE)
    task = observed.event_of("measure", "task-failed")["uuid"]
    wait_until(
        lambda: any(
            span["attributes"].get("celery.state") == "FAILURE" for span in observed.spans()
        )
    )
    (span,) = [
        span for span in observed.spans() if span["attributes"]["messaging.message.id"] == task
    ]
    assert span["status"] == {"status_code": "ERROR", "description": "nothing to measure"}
    (noted,) = [event["attributes"] for event in span["events"] if event["name"] == "exception"]
    assert noted["exception.type"].endswith("OutOfStockError")
    assert noted["exception.message"] == "nothing to measure"
    assert 'raise OutOfStockError("nothing to measure")' in noted["exception.stacktrace"]
    others = [
        span for span in observed.spans() if span["attributes"].get("celery.state") == "SUCCESS"
    ]
    assert {span["status"]["status_code"] for span in others} == {"UNSET"}


def test_flower_and_its_prometheus_metrics_count_a_failed_call(observed: Observed) -> None:
    """Flower's own interface shows it."""

    @compute_this
    def shelve() -> None:
        raise OutOfStockError("no shelf")

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = "distribute_challenge.execution_backends.celery"
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        app,
        "flower",
        f"--port={port}",
        "--address=127.0.0.1",
    ]
    variables = {"CELERY_BROKER_URL": observed.url, "FLOWER_UNAUTHENTICATED_API": "true"}
    with program(command, observed.folder, **variables) as flower:

        def get(path: str) -> str:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{port}/{path}", timeout=DEADLINE
            ) as answer:
                return str(answer.read().decode())

        def tasks() -> list[dict[str, Any]]:
            shelve().submit(observed.backend).exception(
                DEADLINE
            )  # Flower hears only what is said after it has begun.
            try:
                return list(json.loads(get("api/tasks?state=FAILURE")).values())
            except OSError:
                assert flower.process.poll() is None, flower.output
                return []

        wait_until(
            lambda: any(task["name"] == "shelve" for task in tasks()), "Flower", within=DEADLINE
        )
        task = tasks()[-1]
        assert (task["state"], task["exception"]) == ("FAILURE", "OutOfStockError('no shelf')")
        assert "no shelf" in task["traceback"]
        assert re.search(
            r'flower_events_total\{task="shelve",type="task-failed",worker="w1@host"\} [1-9]',
            get("metrics"),
        )


def test_the_worker_log_has_a_line_and_a_traceback_for_each_failed_call(observed: Observed) -> None:
    """The line has the call, its id, and the function's name where all lines have it."""

    @compute_this
    def weigh(item: str, *, unit: str) -> None:
        raise OutOfStockError(f"no {item} to weigh")

    def logged() -> "re.Match[str] | None":
        # Once more while so many others have just been written that this one is left out.
        weigh("x" * 200, unit="kg").submit(observed.backend).exception(DEADLINE)
        task = observed.event_of("weigh", "task-failed")["uuid"]
        call = r"weigh\('xxx+\.\.\.xxx+', unit='kg'\)"
        begin = rf" WARNING ForkPoolWorker-\d+ \[weigh\] {call} raised, in task {task}\nTraceback [^\n]*\n"
        return re.search(
            rf'{begin}  File "{__file__}", line \d+, in weigh\n', observed.worker.output
        )

    wait_until(logged, "a line of the log", within=DEADLINE)
    assert "Task handler raised" not in observed.worker.output.replace(
        "Task handler raised error: WorkerLost", ""
    )


def test_the_worker_log_limits_tracebacks_and_counts_the_omitted_ones(observed: Observed) -> None:
    """A thousand tracebacks a second are of no help, and fill disks."""

    @compute_this
    def count(number: int) -> None:
        raise OutOfStockError(f"no {number}")

    before = len(observed.worker.output)
    list(count.map(range(300), batch_size=300, on_error="return", backend=observed.backend))
    written = left_out = 0

    def all_told() -> bool:
        nonlocal written, left_out
        news = observed.worker.output[before:]
        written = news.count("] count(")
        left_out = sum(
            map(int, re.findall(r"(\d+) more calls raised, whose tracebacks are left out", news))
        )
        return (
            written + left_out >= 300
        )  # Calls of the test before this may be among those that were left out.

    wait_until(all_told, "the number of those that were left out")
    assert 0 <= written <= MOST
