"""Calls that are cancelled while they are out: in their queue, on their way, or running."""

import _thread
import json
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.proxy import Proxy
from distribute_challenge import Distributable, LocalCluster, compute_this
from distribute_challenge.core.messages import Batch, Reply
from distribute_challenge.errors import CallCancelledError
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker.commands import CANCEL, CancelCommand
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.execution_backends.celery.broker.control import active
from distribute_challenge.execution_backends.celery.broker.publishing import message_for
from distribute_challenge.execution_backends.celery.broker.remote_control import channel
from distribute_challenge.execution_backends.celery.client.calls import Call
from distribute_challenge.execution_backends.celery.client.cancellation import (
    in_background,
    publish,
)
from distribute_challenge.security import Keyring, Purpose
from distribute_challenge.settings import DEFAULT_QUEUE
from tests.calls import meet
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server
from tests.secret import KEYRING

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

    def command(self) -> CancelCommand:
        """The next command, waited for."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            message = self._heard.get_message(ignore_subscribe_messages=True, timeout=0.1)
            if message is not None:
                body = json.loads(b64decode(json.loads(message["data"])["body"]))
                assert body["method"] == CANCEL
                return CancelCommand.read(KEYRING, body["arguments"]["command"])
        raise AssertionError("no command came")

    def close(self) -> None:
        self._heard.close()


@pytest.fixture
def listener(server: Server) -> Any:
    listener = Listener(server)
    yield listener
    listener.close()


class Together:
    """Stands in for the batch sizer: all calls go into one message."""

    def size(self, remaining: float, slots: int) -> int:
        return int(remaining)

    def record(self, calls: int, seconds: float, large: int = 0) -> None:
        pass

    def cut_short(self) -> None:
        pass


def in_one_message(
    backend: CeleryExecutionBackend, calls: Sequence[Distributable[Any]]
) -> list[Call]:
    """Calls that travel together."""
    client = backend._connected()
    with client._pending:  # So that the sender finds all of them.
        client._pending.outbox.group_of(calls[0]._task()).sizer = Together()  # type: ignore[assignment]
        sent = [Call(call._task(), client._take_back) for call in calls]
        for call in sent:
            client._pending.put(call)
    return sent


def identities(number: int) -> list[Distributable[Any]]:
    return [identity(n) for n in range(number)]


def test_cancelling_a_queued_call_sends_the_other_calls_of_its_message_again(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    first, *others = in_one_message(backend, identities(5))
    eventually(lambda: worker.waiting() == 1)
    assert first.cancel(force=True)
    worker.serve(others)
    assert [other.result(0) for other in others] == [1, 2, 3, 4]
    assert first.cancelled()
    eventually(lambda: worker.waiting() == 0 and not backend._connected()._pending.sent)


def test_the_cancel_command_is_repeated_until_the_worker_answers(
    backend: CeleryExecutionBackend, worker: FakeWorker, listener: Listener
) -> None:
    """The client does not know which worker it is, and that worker may be connecting just now."""
    calls = in_one_message(backend, identities(3))
    taken = worker.take()
    assert taken.batch.calls == 3
    assert calls[1].cancel(force=True)
    for _ in range(2):
        assert listener.command().batches == {taken.batch.id: [1]}
    assert calls[0].cancel(force=True)
    assert calls[2].cancel(force=True)
    while (command := listener.command()).batches != {taken.batch.id: None}:
        assert taken.batch.id in command.batches
    taken.report("cancelled")
    worker.serve([identity(1).submit(backend)])


def test_calls_that_shared_a_message_with_a_cancelled_one_are_sent_again(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """This holds however often it happens."""
    calls = in_one_message(backend, identities(6))
    for call in calls[:5]:
        taken = worker.take()
        assert call.cancel(force=True)
        taken.report("cancelled")
    worker.serve(calls[5:])
    assert calls[5].result(0) == 5
    assert [call.cancelled() for call in calls] == [True] * 5 + [False]


def test_a_message_with_a_missing_function_is_sent_again_without_cancelled_calls(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """The others go with it."""
    calls = in_one_message(backend, identities(3))
    taken = worker.take()
    assert calls[0].cancel(force=True)
    taken.report("function_missing")
    again = worker.take()
    assert again.batch.calls == 2
    again.run()
    assert [call.result(DEADLINE) for call in calls[1:]] == [1, 2]


def test_a_missing_value_of_a_cancelled_call_is_not_searched(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
    """It may be gone; the others need others."""
    calls = in_one_message(backend, identities(3))
    taken = worker.take()
    assert calls[0].cancel(force=True)
    taken.report("value_missing", "0" * 32)
    again = worker.take()
    assert again.batch.calls == 2
    again.run()
    assert [call.result(DEADLINE) for call in calls[1:]] == [1, 2]


def test_a_map_that_another_client_cancelled_says_so(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
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


def test_a_call_that_is_done_cannot_be_cancelled(
    backend: CeleryExecutionBackend, worker: FakeWorker
) -> None:
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
    proxy: Proxy,
    distant: CeleryExecutionBackend,
    worker: FakeWorker,
    listener: Listener,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    """It is tried until it is back; for some seconds."""
    future = identity(1).submit(distant)
    taken = worker.take()
    batch = distant._connected()._pending.sent[taken.batch.id]
    # A client that does not know yet that it has sent the message would send it again, and then
    # take that back.
    eventually(lambda: batch.pushed is not None)
    proxy.refuse()
    assert future.cancel(force=True)
    eventually(lambda: "cannot tell workers what was cancelled" in caplog.text)
    proxy.heal()
    assert listener.command().batches == {taken.batch.id: None}


def test_a_call_whose_caller_is_interrupted_while_it_is_sent_is_cancelled(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
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
    eventually(lambda: worker.waiting() == 0)


# --- with real workers


@compute_this
def run(folder: str, number: int, seconds: float) -> int:
    Path(folder, f"begun-{number}").touch()
    time.sleep(seconds)
    Path(folder, f"ended-{number}").touch()
    return number


@pytest.mark.slow
def test_cancelling_stops_only_the_given_call_of_a_message(
    cluster: LocalCluster, tmp_path: Path, eventually: Eventually
) -> None:
    """Calls of its message before and after it have their values, and run once."""
    calls = in_one_message(
        cluster.backend, [run(str(tmp_path), n, 60 if n == 1 else 0.05) for n in range(4)]
    )
    eventually((tmp_path / "begun-1").exists)
    assert calls[1].cancel(force=True)
    assert [calls[n].result(DEADLINE) for n in (0, 2, 3)] == [0, 2, 3]
    assert calls[1].cancelled()
    assert not (tmp_path / "ended-1").exists()


@pytest.mark.slow
def test_cancelling_a_loop_in_c_kills_its_process_and_the_other_calls_run_elsewhere(
    cluster: LocalCluster, tmp_path: Path, eventually: Eventually, in_log: Callable[[str], str]
) -> None:
    """Its process is killed after a second. The others of its message begin anew elsewhere."""

    @compute_this
    def count(folder: str, number: int) -> int:
        Path(folder, f"{number} at {time.time()}").touch()
        return sum(range(10**12 if number == 1 else 10)) + number

    calls = in_one_message(cluster.backend, [count(str(tmp_path), number) for number in range(5)])
    eventually(lambda: bool(list(tmp_path.glob("1 at *"))))
    assert calls[1].cancel(force=True)
    both = tmp_path / "both"
    both.mkdir()
    processes = [meet(str(both), 2).submit(cluster.backend) for _ in range(2)]
    assert len({process.result(DEADLINE) for process in processes}) == 2
    assert [calls[number].result(DEADLINE) for number in (0, 2, 3, 4)] == [45, 47, 48, 49]
    assert len(list(tmp_path.glob("1 at *"))) == 1
    assert [call.attempts for call in calls] == [()] * 5
    assert "was cancelled and does not stop: its process is killed" in in_log("does not stop")


def test_a_map_that_is_interrupted_stops_what_runs(
    cluster: LocalCluster, tmp_path: Path, eventually: Eventually
) -> None:
    """Ctrl+C comes while it waits."""
    mapping = run.map(
        [str(tmp_path)] * 8, range(8), [60.0] * 8, batch_size=2, backend=cluster.backend
    )

    def interrupt() -> None:
        eventually(lambda: len(list(tmp_path.iterdir())) == 2)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        next(mapping)
    assert identity(1).compute(cluster.backend, timeout=DEADLINE) == 1
    assert not list(tmp_path.glob("ended-*"))


def test_a_call_inside_a_call_ends_with_it(
    cluster: LocalCluster, tmp_path: Path, eventually: Eventually
) -> None:
    @compute_this
    def outer(folder: str) -> Any:
        Path(folder, "outer").touch()
        return run.with_options(timeout=30, retries=2)(folder, 1, 60).compute()

    future = outer(str(tmp_path)).submit(cluster.backend)
    eventually((tmp_path / "begun-1").exists)
    assert future.cancel(force=True)
    assert identity(1).compute(cluster.backend, timeout=DEADLINE) == 1
    assert not (tmp_path / "ended-1").exists()


def test_a_malformed_command_is_refused_and_logged_by_the_worker(
    cluster: LocalCluster, in_log: Callable[[str], str]
) -> None:
    """It does no harm."""

    class Nonsense(CancelCommand):
        def text(self, keyring: Keyring, issued: float | None = None) -> str:
            return "nonsense"

    publish(connect(cluster.broker_url), Nonsense())
    assert "refused a command" in in_log("refused a command")
    assert identity(1).compute(cluster.backend, timeout=DEADLINE) == 1


def test_an_order_may_come_before_the_message(cluster: LocalCluster) -> None:
    """A worker remembers it, and does not begin what it then gets."""
    connection, replies = connect(cluster.broker_url), "test:early"
    publish(connection, CancelCommand({"early-1": None}))
    active(cluster.broker_url)  # A worker that answers this has the command.
    early = Batch("early-1", "0" * 64, "f", [b""], reply_to=replies, issued=time.time())
    message = message_for(early, queue=DEFAULT_QUEUE, priority=0, keyring=connection.keyring)
    connection.lpush(message.key, message.data)
    found = connection.blpop([replies], timeout=DEADLINE / 2)
    assert found is not None
    problem = Reply.decode(connection.keyring.open(Purpose.reply(replies), found[1])).problem
    assert problem is not None
    assert problem.kind == "cancelled"


def test_in_background_runs_at_once_if_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python 3.12.0 to 3.12.2 start none when the interpreter ends, and then calls are cancelled."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    done: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert in_background(lambda: done.append(1)) is None
    assert done == [1]
