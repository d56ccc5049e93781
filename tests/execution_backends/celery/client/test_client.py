"""The client sends, receives, takes back, and bears silence and odd answers."""

import threading
import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from distribute_challenge import compute_this, settings
from distribute_challenge.core.batching import window
from distribute_challenge.core.messages import Reply
from distribute_challenge.errors import (
    BrokerUnreachableError,
    CallCancelledError,
    CallTimeoutError,
    ClusterStartError,
    ResultTimeoutError,
    VersionMismatchError,
    WorkerLostError,
)
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import function_key
from distribute_challenge.execution_backends.celery.client import client as client_module
from distribute_challenge.execution_backends.celery.client import worker_counts
from distribute_challenge.execution_backends.celery.client.calls import Call
from distribute_challenge.execution_backends.celery.client.client import Client
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def square(x: int) -> int:
    return x * x


@compute_this
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def together(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    eventually: Eventually,
    function: Any,
    arguments: Iterable[Any],
) -> list[Any]:
    """Submit calls of which at least four travel in one message, already sent."""
    # As many messages as may be out at once: whatever comes now has to wait, and so gathers.
    first = [function(0).submit(backend) for _ in range(window(worker_counts.UNKNOWN_SLOTS))]
    eventually(lambda: worker.waiting() == len(first))
    crowd = [function(argument).submit(backend) for argument in arguments]
    taken = worker.take()
    (frame,) = taken.replies()
    reply = Reply.decode(frame)
    # However busy this machine is, the client shall believe that these calls are short.
    taken.push(replace(reply, finishes=array("d", [reply.started + 0.0001])).encode())
    eventually(lambda: crowd[3].batch is not None)
    assert crowd[0].batch is crowd[3].batch
    return crowd


def test_a_call_goes_out_and_its_value_comes_home(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """With the times of both ends."""
    future = square(3).submit(backend)
    taken = worker.take()
    taken.run()
    assert future.result(DEADLINE) == 9
    timeline = future.timeline
    assert timeline is not None
    assert (
        timeline.created
        <= timeline.sent
        <= timeline.started
        <= timeline.finished
        <= timeline.received
    )
    assert timeline.worker == "fake@test/1"


def test_a_function_travels_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, server: Server
) -> None:
    """Messages carry its digest."""
    digests = set()
    for number in range(3):
        future = square(number).submit(backend)
        taken = worker.take()
        digests.add(taken.batch.function)
        assert len(taken.frame) < 650
        taken.run()
        future.result(DEADLINE)
    assert len(digests) == 1
    assert connect(server.url).ttl(function_key(digests.pop())) > 1800


def test_a_function_that_a_worker_cannot_find_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, server: Server
) -> None:
    """A user may have emptied Redis."""
    future = square(3).submit(backend)
    taken = worker.take()
    connect(server.url).delete(function_key(taken.batch.function))
    taken.run()
    again = worker.take()
    assert again.batch.id != taken.batch.id
    again.run()
    assert future.result(DEADLINE) == 9


def test_many_calls_share_messages(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """Once it is known that they are short."""
    futures = [square(number).submit(backend) for number in range(500)]
    messages = []

    def answer(taken: Taken) -> None:
        messages.append(taken)
        taken.run()

    worker.serve(futures, answer)
    assert [future.result(DEADLINE) for future in futures] == [
        number * number for number in range(500)
    ]
    assert len(messages) < 100


def test_a_call_that_no_worker_has_taken_is_cancelled(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Its message is gone from the queue."""
    future = square(3).submit(backend)
    while not worker.waiting():
        pass
    assert future.cancel()
    assert future.cancelled()
    assert worker.waiting() == 0
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)
    assert future.cancel()


def test_a_call_that_was_not_even_sent_is_cancelled(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """There is a limit to how many messages are out at once."""
    futures = [square(number).submit(backend) for number in range(50)]
    assert futures[-1].cancel()
    assert worker.waiting() < 10


def test_a_call_that_a_worker_has_is_not_cancelled(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It goes on, and its value arrives."""
    future = square(3).submit(backend)
    taken = worker.take()
    assert not future.cancel()
    taken.run()
    assert future.result(DEADLINE) == 9


def test_cancelling_one_call_of_a_message_keeps_the_others(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """They are sent anew."""
    crowd = together(backend, worker, eventually, square, range(60))
    shared = [
        future for future in crowd if future.batch is not None and len(future.batch.calls) > 1
    ]
    assert shared[0].cancel()
    worker.serve(crowd)
    values = [future.result() for future in crowd if not future.cancelled()]
    assert len(values) == 59


def test_a_lost_call_is_tried_three_times(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Then it fails, with what the worker said."""
    future = square(3).submit(backend)
    for _ in range(settings.DEFAULT_ATTEMPTS):
        worker.take().report("lost", "the worker process died (exit code 3)")
    with pytest.raises(
        WorkerLostError,
        match=r"square\(3\): the worker process died \(exit code 3\). That happened 3 times in 3 attempts",
    ):
        future.result(DEADLINE)


def test_neighbours_of_a_lost_call_are_sent_one_by_one(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """The client does not know yet which call ended the process."""
    futures = together(backend, worker, eventually, square, range(30))
    lost: set[bytes] = set()
    alone: set[bytes] = set()

    def answer(taken: Taken) -> None:
        arguments = taken.batch.arguments
        if not lost and len(arguments) > 1:
            lost.update(arguments)
            taken.report("lost")
            return
        if len(arguments) == 1:
            alone.update(arguments)
        taken.run()

    worker.serve(futures, answer)
    assert [future.result() for future in futures] == [number * number for number in range(30)]
    assert lost
    assert lost <= alone


def test_a_lost_chunk_fails_at_once(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """Its map cuts it up; here the calls then succeed."""
    results = square.map([1, 2, 3], batch_size=3, backend=backend)
    collected: list[Any] = []
    thread = threading.Thread(target=lambda: collected.extend(results))
    thread.start()
    taken = worker.take()
    assert taken.batch.chunk == 3
    taken.report("lost")
    for _ in range(3):
        taken = worker.take()
        assert taken.batch.chunk == 1
        taken.run()
    thread.join(DEADLINE)
    assert collected == [1, 4, 9]


def test_a_killed_call_has_run_out_of_time(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It is not tried again."""
    future = square.with_options(timeout=1)(3).submit(backend)
    worker.take().report("timeout", "its process was killed")
    with pytest.raises(
        CallTimeoutError, match=r"square ran longer than timeout=1 s; its process was killed"
    ):
        future.result(DEADLINE)


def test_another_version_is_an_error_with_the_workers_words(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """At once, without another try."""
    future = square(3).submit(backend)
    worker.take().report("version", "the client runs 3.11, this worker 3.12")
    with pytest.raises(VersionMismatchError, match=r"3\.11.*3\.12"):
        future.result(DEADLINE)


def test_a_second_answer_to_the_same_message_is_dropped(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """A broker may deliver twice."""
    future = square(3).submit(backend)
    taken = worker.take()
    taken.run()
    assert future.result(DEADLINE) == 9
    taken.report("lost")
    other = square(4).submit(backend)
    worker.take().run()
    assert other.result(DEADLINE) == 16
    assert future.result() == 9


def test_an_answer_that_cannot_be_read_is_logged(
    backend: CeleryExecutionBackend, worker: FakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    """It harms no call."""
    future = square(3).submit(backend)
    taken = worker.take()
    taken.push(b"nonsense")
    taken.run()
    assert future.result(DEADLINE) == 9
    assert "refused a reply" in caplog.text


def test_a_call_given_back_is_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """What was finished before it stays."""
    futures = together(backend, worker, eventually, nap, [0.0, 0.3, *[0.0] * 40])
    worker.serve(futures)
    assert [future.result() for future in futures] == [0.0, 0.3, *[0.0] * 40]


def test_finished_calls_of_a_slow_message_come_home_ahead(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """They do not wait for the rest."""
    futures = together(backend, worker, eventually, nap, [0.06, *[0.0] * 40])
    worker.serve(futures)
    assert [future.result() for future in futures] == [0.06, *[0.0] * 40]


def test_books_are_right_also_after_the_end(server: Server, worker: FakeWorker) -> None:
    """A reply may be on its way while the client gives up; a call may be done when it is to be sent
    again.
    """
    client = Client(server.url)
    call = client.submit(square(3)._task())
    worker.take()
    batch = call.batch
    assert batch is not None
    unsent = client._pending.register(batch.group, [Call(call.task, client.withdraw)], 1)
    assert not client.withdraw(unsent.calls[0])
    client.close()
    with client._pending:
        client._pending.drop(batch)
        client._pending.put_back([call])
    assert client._pending.outbox.waiting == {}


@pytest.mark.slow
def test_no_worker_is_a_warning_that_names_the_queue(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    server: Server,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once, until one has come and gone again."""
    monkeypatch.setattr(worker_counts, "WARN_AFTER", 1.0)
    monkeypatch.setattr(client_module, "LONGEST_WAIT", 0.05)
    future = square.with_options(queue="gpu")(3).submit(backend)
    eventually(lambda: "no worker listens on the queue 'gpu'" in caplog.text)
    assert "distribute-challenge worker --queues gpu" in caplog.text
    caplog.clear()
    presence.show(connect(server.url), presence.WorkerPresence("w", 7, ["gpu"]))
    eventually(lambda: backend.concurrency == 7)
    presence.leave(connect(server.url), presence.WorkerPresence, "w")
    eventually(lambda: "no worker listens" in caplog.text)
    worker.take("gpu").run()
    assert future.result(DEADLINE) == 9


def test_workers_of_one_queue_are_counted_for_it_alone(
    backend: CeleryExecutionBackend, server: Server, eventually: Eventually
) -> None:
    """Before any is known, a few are assumed."""
    assert backend.concurrency == worker_counts.UNKNOWN_SLOTS
    presence.show(connect(server.url), presence.WorkerPresence("w", 5, ["q"]))
    eventually(lambda: backend.concurrency == 5)


@pytest.mark.slow
def test_a_client_shows_itself_and_how_much_it_waits_for(
    backend: CeleryExecutionBackend, server: Server, worker: FakeWorker, eventually: Eventually
) -> None:
    """Until it is closed."""
    connection = connect(server.url)
    square(3).submit(backend)
    eventually(lambda: [client.waiting for client in presence.clients(connection)] == [1])
    worker.take().run()
    eventually(lambda: [client.waiting for client in presence.clients(connection)] == [0])
    backend.close()
    assert presence.clients(connection) == []


def test_closing_cancels_what_is_not_done(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """Sent or not; nothing hangs."""
    futures = [square(number).submit(backend) for number in range(50)]
    worker.take()
    backend.close()
    for future in futures:
        with pytest.raises(CallCancelledError):
            future.result(DEADLINE)
    assert futures[-1].cancelled()


def test_a_closed_client_takes_no_calls(server: Server) -> None:
    """It says so."""
    client = Client(server.url)
    client.close()
    with pytest.raises(CallCancelledError, match="closed"):
        client.submit(square(3)._task())


def test_a_cluster_that_dies_as_a_client_connects_gives_its_own_reason(server: Server) -> None:
    """And not that of its broker, which is gone with it."""

    def check() -> None:
        raise ClusterStartError("it died")

    server.stop()
    with pytest.raises(ClusterStartError, match="it died"):
        Client(server.url, check=check)
    with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
        Client(server.url)


def test_a_dead_cluster_fails_all_calls(server: Server, worker: FakeWorker) -> None:
    """With the reason; so does the next call of the same client."""
    dead = threading.Event()

    def check() -> None:
        if dead.is_set():
            raise ClusterStartError("it died")

    client = Client(server.url, check=check)
    backend = CeleryExecutionBackend(server.url)
    backend._client = client
    futures = [square(number).submit(backend) for number in range(50)]
    worker.take()
    dead.set()
    for future in futures:  # Sent or not.
        with pytest.raises(ClusterStartError, match="it died"):
            future.result(DEADLINE)
    with pytest.raises(ClusterStartError, match="it died"):
        client.submit(square(3)._task())
    client.close()
    # The backend itself connects anew.
    again = square(4).submit(backend)
    worker.serve([again])
    assert again.result() == 16
    backend.close()


def test_a_broker_that_is_not_there_is_an_error_at_the_first_call() -> None:
    """And not a hang."""
    backend = CeleryExecutionBackend("redis://:secret@127.0.0.1:1")
    with pytest.raises(BrokerUnreachableError, match="no Redis answers") as caught:
        square(3).compute(backend)
    assert "secret" not in str(caught.value)


def test_a_broker_that_went_away_fails_a_call_that_is_waited_for(
    backend: CeleryExecutionBackend, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """At once, at the caller's line."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
        square(3).compute(backend)


def test_submitted_calls_wait_for_a_broker_that_comes_back(
    backend: CeleryExecutionBackend,
    server: Server,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The user is told meanwhile."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    future = square(3).submit(backend)
    eventually(lambda: "cannot send to" in caplog.text and "lost the broker" in caplog.text)
    assert not future.cancel()
    server.start()
    with FakeWorker(server.url) as worker:
        worker.take().run()
    assert future.result(DEADLINE) == 9


def test_closing_does_not_need_the_broker(backend: CeleryExecutionBackend, server: Server) -> None:
    """It may be gone."""
    future = square(3).submit(backend)
    server.stop()
    backend.close()
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)


def test_closing_ends_the_attempts_to_send(
    backend: CeleryExecutionBackend,
    server: Server,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To a broker that may never come back."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    future = square(3).submit(backend)
    eventually(lambda: "cannot send to" in caplog.text)
    backend.close()
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)


def test_a_failed_call_has_its_own_exception(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """And a timeline, like any other."""
    future = compute_this(lambda x: 1 / x)(0).submit(backend)
    worker.take().run()
    with pytest.raises(ZeroDivisionError):
        future.result(DEADLINE)
    assert future.timeline is not None


def test_a_sent_call_cannot_be_taken_back_while_the_broker_is_away(
    backend: CeleryExecutionBackend, server: Server, worker: FakeWorker, eventually: Eventually
) -> None:
    """So it is not cancelled, as it may run."""
    future = square(3).submit(backend)
    eventually(lambda: worker.waiting() == 1)
    server.stop()
    assert not future.cancel()


def test_waiting_has_a_limit(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """`compute` takes the call back, or says that it runs already."""
    with pytest.raises(ResultTimeoutError, match=r"timeout=0\.05 s: square was cancelled"):
        square(3).compute(backend, timeout=0.05)
    assert worker.waiting() == 0


def test_a_handful_of_connections_serves_many_threads(
    backend: CeleryExecutionBackend, server: Server, worker: FakeWorker
) -> None:
    """Whatever is in flight."""
    threads = [
        threading.Thread(target=lambda: [square(n).submit(backend) for n in range(100)])
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    others = 2  # This test's own, and the worker's.
    assert len(connect(server.url).client_list()) <= 3 + others
