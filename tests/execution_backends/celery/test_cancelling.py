"""Calls that are cancelled while they are out: in their queue, on their way, or running."""

import json
import os
import threading
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import Future, LocalCluster, compute_this
from distribute_challenge.errors import CallCancelledError, TaskLostError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.cancelling import publish
from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.execution_backends.celery.orders import COMMAND, Order
from distribute_challenge.execution_backends.celery.remote_control import channel
from tests.calls import wait_for
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server

pytestmark = pytest.mark.celery

Eventually = Callable[[Callable[[], bool]], None]


@compute_this
def identity(x: Any) -> Any:
    return x


class Listener:
    """Hears what workers are told."""

    def __init__(self, server: Server) -> None:
        connection = connect(server.url)
        self._heard = connection.pubsub()
        self._heard.subscribe(channel(connection))

    def order(self) -> Order:
        """The next order, waited for."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            message = self._heard.get_message(ignore_subscribe_messages=True, timeout=0.1)
            if message is not None:
                body = json.loads(b64decode(json.loads(message["data"])["body"]))
                assert body["method"] == COMMAND
                return Order.read(body["arguments"]["order"])
        raise AssertionError("no order came")

    def close(self) -> None:
        self._heard.close()


@pytest.fixture
def listener(server: Server) -> Any:
    listener = Listener(server)
    yield listener
    listener.close()


def in_one_message(backend: CeleryExecutionBackend, worker: FakeWorker, number: int) -> list[Future[int]]:
    """Calls that travel together; taught by many fast ones before, and held up by a full queue."""
    group = [identity(number).submit(backend) for number in range(200)]
    worker.serve(group)
    client = backend._connected()
    with client._lock:  # So that all of them are in the outbox before the sender looks.
        calls = [client._prepared(_call(client, n)) for n in range(number)]
        for call in calls:
            client._books.put(call)
    return calls  # type: ignore[return-value] # a call is a future


def _call(client: Any, number: int) -> Any:
    from distribute_challenge.execution_backends.celery.calls import Call

    return Call(identity(number)._task(), client._take_back)


def test_a_call_in_the_queue_is_taken_out_and_its_neighbours_go_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """Whoever cancels does not wait for it."""
    first, *others = in_one_message(backend, worker, 5)
    eventually(lambda: worker.waiting() == 1)
    began = time.monotonic()
    assert first.cancel(force=True)
    assert time.monotonic() - began < 0.5
    worker.serve(others)
    assert [other.result(0) for other in others] == [1, 2, 3, 4]
    assert first.cancelled()
    eventually(lambda: worker.waiting() == 0 and not backend._connected()._books.sent)


def test_workers_are_told_of_a_call_that_one_of_them_has_again_and_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, listener: Listener
) -> None:
    """Which one it is nobody knows; and one of them may be connecting just now."""
    calls = in_one_message(backend, worker, 3)
    taken = worker.take()
    assert taken.batch.calls == 3
    assert calls[1].cancel(force=True)
    for _ in range(2):
        assert listener.order().batches == {taken.batch.id: [1]}
    assert calls[0].cancel(force=True)
    assert calls[2].cancel(force=True)
    while (order := listener.order()).batches != {taken.batch.id: None}:
        assert taken.batch.id in order.batches
    taken.report("cancelled")
    worker.serve([identity(1).submit(backend)])


def test_the_neighbours_of_a_call_that_was_stopped_are_sent_again_and_nobody_is_blamed(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """However often it happens."""
    calls = in_one_message(backend, worker, 6)
    for call in calls[:5]:
        taken = worker.take()
        assert call.cancel(force=True)
        taken.report("cancelled")
    worker.serve(calls[5:])
    assert calls[5].result(0) == 5
    assert [call.cancelled() for call in calls] == [True] * 5 + [False]


def test_a_function_that_is_missing_is_not_sent_with_calls_that_were_cancelled(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The others go with it."""
    calls = in_one_message(backend, worker, 3)
    taken = worker.take()
    assert calls[0].cancel(force=True)
    taken.report("function_missing")
    again = worker.take()
    assert again.batch.calls == 2
    again.run()
    assert [call.result(DEADLINE) for call in calls[1:]] == [1, 2]


def test_a_map_that_somebody_else_cancelled_says_so(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """A worker stops only what a holder of the cluster's secret tells it to."""
    results: list[BaseException] = []

    def collect() -> None:
        try:
            list(identity.map(range(10), batch_size=10, backend=backend))
        except BaseException as error:
            results.append(error)

    thread = threading.Thread(target=collect)
    thread.start()
    worker.take().report("cancelled")
    thread.join(DEADLINE)
    assert isinstance(results[0], CallCancelledError)


def test_what_is_done_cannot_be_cancelled(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    future = identity(1).submit(backend)
    worker.serve([future])
    assert not future.cancel(force=True)
    assert future.result() == 1


def test_a_call_that_has_not_been_sent_is_gone_at_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """It waits because enough others are on their way."""
    futures = [identity(number).submit(backend) for number in range(20)]
    eventually(lambda: worker.waiting() > 0)
    assert futures[-1].cancel(force=True)
    worker.serve(futures)
    assert futures[-1].cancelled()
    assert [future.result(0) for future in futures[:-1]] == list(range(19))


def test_cancelling_does_not_wait_for_a_broker_that_is_away(
    server: Server,
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    """It is tried until it is back; for some seconds."""
    future = identity(1).submit(backend)
    taken = worker.take()
    server.stop()
    began = time.monotonic()
    assert future.cancel(force=True)
    assert time.monotonic() - began < 0.5
    eventually(lambda: "cannot tell workers what was cancelled" in caplog.text)
    server.start()
    heard = Listener(server)
    assert heard.order().batches == {taken.batch.id: None}
    heard.close()


def test_a_call_whose_caller_is_interrupted_while_it_is_sent_is_cancelled(
    backend: CeleryExecutionBackend, worker: FakeWorker, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been sent just before."""
    client = backend._connected()
    publish_it = client._publisher.publish

    def interrupted(*arguments: Any) -> None:
        publish_it(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(client._publisher, "publish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        identity(1).compute(backend)
    eventually_gone = time.monotonic() + DEADLINE
    while worker.waiting():
        assert time.monotonic() < eventually_gone


# --- with real workers


@compute_this
def run(folder: str, number: int, seconds: float) -> int:
    Path(folder, f"begun-{number}").touch()
    time.sleep(seconds)
    Path(folder, f"ended-{number}").touch()
    return number


def test_only_the_call_that_is_meant_is_stopped(cluster: LocalCluster, tmp_path: Path, eventually: Eventually) -> None:
    """Those of its message that ran before and after it have their values, and run once."""
    client = cluster.backend._connected()
    list(run.map([str(tmp_path)] * 50, range(1000, 1050), [0] * 50, backend=cluster.backend))
    group = client._books.outbox.group_of(run(str(tmp_path), 0, 0)._task())
    group.sizer.record(1000, 0.001)  # So fast that many go together.
    with client._lock:
        calls = [client._prepared(_run_call(client, str(tmp_path), n, 60 if n == 1 else 0.05)) for n in range(4)]
        for call in calls:
            client._books.put(call)
    eventually((tmp_path / "begun-1").exists)
    assert calls[1].cancel(force=True)
    assert [calls[n].result(DEADLINE) for n in (0, 2, 3)] == [0, 2, 3]
    assert calls[1].cancelled()
    assert not (tmp_path / "ended-1").exists()


def _run_call(client: Any, *arguments: Any) -> Any:
    from distribute_challenge.execution_backends.celery.calls import Call

    return Call(run(*arguments)._task(), client._take_back)


def test_a_loop_in_c_is_stopped_and_its_neighbours_are_not_blamed(
    cluster: LocalCluster, tmp_path: Path, eventually: Eventually, in_log: Callable[[str], str]
) -> None:
    """Its process is killed after a second, and others of its message begin once more."""

    @compute_this
    def count(folder: str, number: int) -> int:
        Path(folder, str(number)).touch()
        return sum(range(10**12 if number == 0 else 10))

    @compute_this
    def pid() -> int:
        return os.getpid()

    future = count(str(tmp_path), 0).submit(cluster.backend)
    eventually((tmp_path / "0").exists)
    began = time.monotonic()
    assert future.cancel(force=True)
    with ThreadPoolExecutor(2) as callers:
        both = [
            callers.submit(compute_this(_meet).__call__(str(tmp_path / "both")).compute, cluster.backend)
            for _ in range(2)
        ]
        assert len({each.result(DEADLINE) for each in both}) == 2
    assert time.monotonic() - began < 4
    assert "was cancelled and does not stop: its process is killed" in in_log("does not stop")


def _meet(folder: str) -> int:
    os.makedirs(folder, exist_ok=True)
    Path(folder, str(os.getpid())).touch()
    while len(os.listdir(folder)) < 2:
        time.sleep(0.005)
    return os.getpid()


def test_a_map_that_is_interrupted_stops_what_runs(
    cluster: LocalCluster, tmp_path: Path, eventually: Eventually
) -> None:
    """Ctrl+C comes while it waits."""
    mapping = run.map([str(tmp_path)] * 8, range(8), [60.0] * 8, batch_size=2, backend=cluster.backend)

    def interrupt() -> None:
        import _thread

        eventually(lambda: len(list(tmp_path.iterdir())) == 2)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        next(mapping)
    assert identity(1).compute(cluster.backend, timeout=DEADLINE) == 1
    assert not list(tmp_path.glob("ended-*"))


def test_a_call_inside_a_call_ends_with_it(cluster: LocalCluster, tmp_path: Path, eventually: Eventually) -> None:
    @compute_this
    def outer(folder: str) -> Any:
        Path(folder, "outer").touch()
        return run.with_options(timeout=30, retries=2)(folder, 1, 60).compute()

    future = outer(str(tmp_path)).submit(cluster.backend)
    eventually((tmp_path / "begun-1").exists)
    assert future.cancel(force=True)
    assert identity(1).compute(cluster.backend, timeout=DEADLINE) == 1
    assert not (tmp_path / "ended-1").exists()


def test_an_order_that_is_none_is_logged(cluster: LocalCluster, in_log: Callable[[str], str]) -> None:
    """And does no harm."""

    class Nonsense(Order):
        def text(self) -> str:
            return "nonsense"

    publish(connect(cluster.broker_url), Nonsense())
    assert "an order to cancel calls cannot be read" in in_log("cannot be read")
    assert identity(1).compute(cluster.backend, timeout=DEADLINE) == 1


def test_an_order_comes_before_the_message(cluster: LocalCluster, in_log: Callable[[str], str]) -> None:
    """A worker remembers it, and does not begin what it then gets."""
    client = cluster.backend._connected()
    with client._lock:
        number = next(client._books._numbers) + 1
    publish(connect(cluster.broker_url), Order({f"{client.id}-{number}": [0]}))
    in_log("ready")
    from distribute_challenge.execution_backends.celery.control import active

    active(cluster.broker_url)  # What it has answered this, it has heard that.
    with pytest.raises(CallCancelledError):
        identity(1).submit(cluster.backend).result(DEADLINE)


def test_errors_of_this_kind_are_not_taken_for_one_another() -> None:
    assert not issubclass(CallCancelledError, TaskLostError)


def test_wait_for_is_stopped_too(cluster: LocalCluster, tmp_path: Path, eventually: Eventually) -> None:
    future = wait_for(str(tmp_path / "door")).submit(cluster.backend)
    eventually((tmp_path / "door.begun").exists)
    assert future.cancel(force=True)
    assert identity(2).compute(cluster.backend, timeout=DEADLINE) == 2
