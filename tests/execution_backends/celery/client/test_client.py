"""The client sends calls, cancels and counts them, and shows itself."""

import threading
from collections.abc import Callable

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import CallCancelledError, ResultTimeoutError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.keys import function_key
from distribute_challenge.execution_backends.celery.client import client as client_module
from distribute_challenge.execution_backends.celery.client import worker_counts
from distribute_challenge.execution_backends.celery.client.calls import Call
from distribute_challenge.execution_backends.celery.client.client import Client
from tests.execution_backends.celery.client.messages import square, together
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken

Eventually = Callable[[Callable[[], bool]], None]


def test_a_submitted_call_gets_its_value_and_timeline(
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


def test_a_function_is_sent_once_and_messages_carry_its_digest(
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


def test_the_records_of_sent_calls_stay_consistent_after_close(
    server: Server, worker: FakeWorker
) -> None:
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
def test_a_queue_without_workers_is_a_warning_that_names_the_queue(
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


def test_concurrency_counts_only_workers_of_the_queue(
    backend: CeleryExecutionBackend, server: Server, eventually: Eventually
) -> None:
    """Before any is known, a few are assumed."""
    assert backend.concurrency == worker_counts.UNKNOWN_SLOTS
    presence.show(connect(server.url), presence.WorkerPresence("w", 5, ["q"]))
    eventually(lambda: backend.concurrency == 5)


@pytest.mark.slow
def test_a_client_publishes_its_presence_and_number_of_waiting_calls(
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


def test_closing_the_backend_cancels_all_unfinished_calls(
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


def test_a_failed_call_has_its_own_exception(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """And a timeline, like any other."""
    future = compute_this(lambda x: 1 / x)(0).submit(backend)
    worker.take().run()
    with pytest.raises(ZeroDivisionError):
        future.result(DEADLINE)
    assert future.timeline is not None


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
