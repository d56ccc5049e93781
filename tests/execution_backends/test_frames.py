"""What the engines of one machine share."""

import os
import socket
import threading
from array import array

from distribute_challenge.core.chunk_result import ChunkResult
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Batch, FunctionPayload, Problem, Reply, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.outcome import Failure
from distribute_challenge.core.section import Section
from distribute_challenge.execution_backends.frames import process_name, settle, task_frame
from distribute_challenge.serialisation import dumps, dumps_error

FUNCTION = FunctionPayload("digest", b"payload", "square")
TASK = Task(FUNCTION, b"arguments", CallOptions(timeout=1.5, retries=2), created=1.0)
CHUNK = TASK._replace(chunk=2)


def reply(*sections: Section, problem: Problem | None = None) -> bytes:
    return Reply(
        "", "w", 3.0, sections=sections, finishes=array("d", [4.0]), problem=problem
    ).encode()


VALUES = Section("values", 2, dumps([4, 5], "values").data)
ERROR = Section("error", 1, dumps_error(ValueError("no")))


def test_a_task_s_frame_is_a_batch_of_its_own() -> None:
    """The batch has the task's options."""
    batch = Batch.decode(task_frame(CHUNK))
    assert (batch.function, batch.name, batch.arguments) == ("digest", "square", [b"arguments"])
    assert (batch.chunk, batch.timeout, batch.retries) == (2, 1.5, 2)


def test_a_reply_resolves_the_future_and_gives_it_its_timeline() -> None:
    """A value."""
    future: Future[int] = Future()
    assert settle(future, TASK, 2.0, [reply(VALUES)]) is None
    assert future.result() == 4
    timeline = future.timeline
    assert timeline is not None
    assert (timeline.created, timeline.sent, timeline.started, timeline.finished) == (
        1.0,
        2.0,
        3.0,
        4.0,
    )
    assert timeline.worker == "w"


def test_a_failure_fails_the_future() -> None:
    """The future has its timeline."""
    future: Future[int] = Future()
    settle(future, TASK, 2.0, [reply(ERROR)])
    assert str(future.exception()) == "no"
    assert future.timeline is not None


def test_a_chunk_s_future_gives_the_outcomes_of_its_calls() -> None:
    """Failures in their places."""
    future: Future[ChunkResult] = Future()
    settle(future, CHUNK, 2.0, [reply(VALUES, ERROR)])
    first, second, third = future.result().outcomes
    assert (first, second) == (4, 5)
    assert isinstance(third, Failure)


def test_a_problem_leaves_the_future_to_the_engine() -> None:
    """It knows what to do."""
    future: Future[int] = Future()
    problem = Problem("function_missing", "digest")
    assert settle(future, TASK, 2.0, [reply(problem=problem)]) == problem
    assert not future.done()


def test_a_process_is_named_by_kind_host_and_id() -> None:
    """The name has the thread, too, unless it is the main one."""
    assert process_name("local") == f"local@{socket.gethostname()}/{os.getpid()}"
    names: list[str] = []
    thread = threading.Thread(target=lambda: names.append(process_name("threads")), name="worker-3")
    thread.start()
    thread.join(60)
    assert names == [f"threads@{socket.gethostname()}/{os.getpid()}/worker-3"]
