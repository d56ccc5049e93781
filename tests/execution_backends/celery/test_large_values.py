"""Large values between a client and workers taken by hand: where they go, that they arrive, and that nothing of them stays."""

import errno
import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
import redis

from distribute_challenge import compute_this, put, sections, stores
from distribute_challenge.errors import (
    BrokerUnreachableError,
    CallCancelledError,
    SerialisationError,
    StoreFullError,
    ValueLostError,
)
from distribute_challenge.execution_backends.celery import client as client_module
from distribute_challenge.execution_backends.celery import client_values, losses, presence
from distribute_challenge.execution_backends.celery.backend import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.calls import Outbox
from distribute_challenge.execution_backends.celery.connection import connect
from distribute_challenge.messages import Reply
from distribute_challenge.stores import shared_memory_identity
from tests.execution_backends.celery.conftest import DEADLINE, FakeWorker, Server, Taken

Eventually = Callable[[Callable[[], bool]], None]

ARRAY = numpy.arange(50_000, dtype=float)  # 400 kB


@compute_this
def double(x: Any) -> Any:
    return x * 2


@compute_this
def total(*arrays: Any) -> float:
    return float(sum(array.sum() for array in arrays))


@compute_this
def write(x: Any) -> None:
    x[0] = 1


class Place:
    """What lies in shared memory and in Redis."""

    def __init__(self, memory: Path, server: Server) -> None:
        self.path = memory
        self._connection = connect(server.url)

    @property
    def memory(self) -> list[str]:
        return [path.name for path in self.path.glob("distribute_challenge-*/*") if path.name != "owner.lock"]

    @property
    def redis(self) -> list[bytes]:
        return self._connection.keys("distribute_challenge:value:*")  # type: ignore[return-value] # typed for async too

    @property
    def is_empty(self) -> bool:
        return not self.memory and not self.redis


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shared memory of this test alone, and clients that free at once what nobody needs."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(folder))
    monkeypatch.setattr("distribute_challenge.stores.depot.LINGER", 0.0)
    monkeypatch.setattr(client_values, "LOOK_EVERY", 0.02)
    return folder


@pytest.fixture
def place(memory: Path, server: Server) -> Place:
    return Place(memory, server)


@pytest.fixture
def sees(worker: FakeWorker) -> None:
    """The worker says that it sees this machine's shared memory."""
    show(worker, shared_memory_identity())


def show(worker: FakeWorker, *memories: str) -> None:
    for number, memory in enumerate(memories):
        presence.show(worker.connection, presence.WorkerPresence(f"w{number}", 1, ["distribute_challenge"], memory))


@pytest.mark.usefixtures("sees")
def test_a_large_argument_lies_in_memory_that_all_workers_see(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Once, in however many calls; the messages stay small, and when all are done it goes."""
    futures = [total(ARRAY, ARRAY).submit(backend) for _ in range(5)]
    assert (len(place.memory), place.redis) == (1, [])
    frames: list[bytes] = []

    def answer(taken: Taken) -> None:
        frames.append(taken.frame)
        taken.run()

    worker.serve(futures, answer)
    assert {future.result() for future in futures} == {2 * ARRAY.sum()}
    assert max(map(len, frames)) < 6000
    eventually(lambda: place.is_empty)


@pytest.mark.parametrize("memories", [[], ["another machine's"]])
def test_a_large_argument_lies_in_redis_for_workers_that_do_not(
    memories: list[str], backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Also as long as nobody knows what they see."""
    show(worker, *memories)
    future = total(ARRAY).submit(backend)
    assert (place.memory, len(place.redis)) == ([], 1)
    worker.serve([future])
    assert future.result() == ARRAY.sum()
    eventually(lambda: place.is_empty)


def test_a_large_argument_lies_in_both_for_workers_of_both_kinds(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    show(worker, "another machine's", shared_memory_identity())
    future = total(ARRAY).submit(backend)
    assert (len(place.memory), len(place.redis)) == (1, 1)
    worker.serve([future])
    eventually(lambda: place.is_empty)


def test_workers_that_come_later_are_noticed(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    monkeypatch.setattr(client_module, "LONGEST_WAIT", 0.05)
    futures = [total(ARRAY).submit(backend)]
    show(worker, shared_memory_identity())
    eventually(lambda: backend.concurrency == 1)
    futures.append(total(ARRAY + 1).submit(backend))
    assert (len(place.memory), len(place.redis)) == (1, 1)
    worker.serve(futures)


def test_a_store_of_the_user_s_takes_the_place_of_redis(
    server: Server,
    worker: FakeWorker,
    place: Place,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Eventually,
) -> None:
    """With the variable alone."""
    pytest.importorskip("fsspec")
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_STORE", f"file://{tmp_path}/store")
    with CeleryExecutionBackend(server.url) as backend:
        future = total(ARRAY).submit(backend)
        assert place.is_empty
        assert len(list((tmp_path / "store").glob("distribute_challenge-*/*"))) == 1
        worker.serve([future])
        assert future.result() == ARRAY.sum()
    assert not list((tmp_path / "store").iterdir())


def test_without_shared_memory_all_goes_through_redis(
    server: Server, worker: FakeWorker, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distribute_challenge.settings.shared_folder", lambda: None)
    with CeleryExecutionBackend(server.url) as backend:
        future = double(ARRAY).submit(backend)
        assert len(place.redis) == 1
        taken = worker.take()
        taken.run()
        assert numpy.array_equal(future.result(DEADLINE), ARRAY * 2)
        taken.run()  # A broker may deliver twice.
        future = double(ARRAY).submit(backend)
        worker.serve([future])


def test_a_folder_that_cannot_be_made_is_no_shared_memory(
    server: Server, worker: FakeWorker, place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A container's may be full already; the user hears of it."""

    def full(*_: Any) -> Any:
        raise StoreFullError("not even a folder")

    monkeypatch.setattr(client_values, "FolderStore", full)
    with CeleryExecutionBackend(server.url) as backend:
        future = double(ARRAY).submit(backend)
        worker.serve([future])
        assert numpy.array_equal(future.result(), ARRAY * 2)
    assert "not even a folder" in caplog.text


@pytest.mark.usefixtures("sees")
@pytest.mark.parametrize("text", ["x" * 1_500_000, b"x" * 1_500_000, list(range(500_000))])
def test_so_do_large_texts_and_lists(
    text: Any, backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    future = compute_this(len)(text).submit(backend)
    assert len(place.memory) == 1
    taken = worker.take()
    assert len(taken.frame) < 1000
    taken.run()
    assert future.result(DEADLINE) == len(text)
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_an_error_frees_too(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Also while somebody keeps the future with its exception. What is not to be written to is explained."""
    future = write(ARRAY).submit(backend)
    worker.serve([future])
    error = future.exception()
    assert isinstance(error, ValueError)
    assert "work on a copy" in error.__notes__[0]
    eventually(lambda: place.is_empty)
    (error,) = mapped(worker, write.map([ARRAY], on_error="return", backend=backend))
    assert "work on a copy" in error.__notes__[0]
    eventually(lambda: place.is_empty)


def mapped(worker: FakeWorker, results: Iterator[Any]) -> list[Any]:
    """What a map gives, while its messages are taken by hand."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(list, results)
        worker.serve([future])  # type: ignore[list-item] # it asks whether it is done
        return future.result()


def test_other_errors_are_not_explained(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """Nor those of calls without large values."""
    small = write(numpy.frombuffer(b"12345678")).submit(backend)
    wrong = compute_this(lambda x: int("read-only" if x is None else "x"))(ARRAY).submit(backend)
    worker.serve([small, wrong])
    for future in (small, wrong):
        assert not hasattr(future.exception(), "__notes__")


@pytest.mark.usefixtures("sees")
def test_cancelling_frees(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Sent or not."""
    futures = [total(ARRAY).submit(backend) for _ in range(30)]
    eventually(lambda: worker.waiting() > 0)
    worker.serve([future for future in futures if not future.cancel()])
    assert any(future.cancelled() for future in futures)
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_closing_frees_at_once(backend: CeleryExecutionBackend, place: Place) -> None:
    future = total(ARRAY).submit(backend)
    shared = put(ARRAY + 1, backend)
    assert len(place.memory) == 2
    backend.close()
    assert list(place.path.iterdir()) == []
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)
    with pytest.raises(ValueLostError):
        shared.get()


@pytest.mark.usefixtures("sees")
def test_a_map_frees_what_its_calls_are_done_with(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Chunks given back are sent again, and need theirs until then."""

    @compute_this
    def slow(x: Any, base: Any) -> float:
        import time

        time.sleep(0.3)
        return float(x[0] + base[0])

    results = slow.map([ARRAY + number for number in range(4)], [ARRAY] * 4, batch_size=2, backend=backend)
    assert mapped(worker, results) == [0, 1, 2, 3]
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_what_a_function_captures_stays_as_long_as_the_function(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Not as long as the client remembers how long its calls took."""
    array = ARRAY.copy()
    function = compute_this(lambda x: float(array.sum()) + x)
    assert mapped(worker, function.map([1, 2], backend=backend)) == [ARRAY.sum() + 1, ARRAY.sum() + 2]
    future = function(3).submit(backend)
    worker.serve([future])
    assert len(place.memory) == 1
    array[0] = 5
    future = function(0).submit(backend)
    worker.serve([future])
    assert future.result() == ARRAY.sum() + 5
    eventually(lambda: len(place.memory) == 1)
    del function
    gc.collect()
    eventually(lambda: place.is_empty)
    assert Outbox.KEPT_GROUPS > 0
    assert len(worker.functions._loaded) > 0


@pytest.mark.usefixtures("sees")
def test_a_map_keeps_what_its_function_captured_at_the_start(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """However often that is replaced and the function called meanwhile."""
    array = ARRAY

    @compute_this
    def captured(x: Any) -> float:
        return float(array[x])

    results = captured.map(iter(range(3)), batch_size=1, backend=backend)
    array = ARRAY + 1
    future = captured(0).submit(backend)
    worker.serve([future])
    assert future.result() == 1
    eventually(lambda: len(place.memory) == 2)
    assert mapped(worker, results) == [0, 1, 2]
    eventually(lambda: len(place.memory) == 1)


@pytest.mark.usefixtures("sees")
def test_what_was_put_stays_as_long_as_its_handle(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """Or a call that got it."""
    shared = put(ARRAY, backend)
    future = total(shared).submit(backend)
    taken = worker.take()
    del shared
    gc.collect()
    looks = client_module.time.monotonic()
    eventually(lambda: client_module.time.monotonic() > looks + 5 * client_values.LOOK_EVERY)
    assert len(place.memory) == 1
    taken.run()
    assert future.result(DEADLINE) == ARRAY.sum()
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_a_large_result_comes_by_shared_memory(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """It is the caller's own: the folder has nothing of it any more."""
    future = double(ARRAY).submit(backend)
    (frame,) = worker.take().replies()
    assert len(frame) < 1000
    worker.connection.rpush(f"distribute_challenge:replies:{backend._connected().id}", frame)
    result = future.result(DEADLINE)
    eventually(lambda: place.is_empty)
    result += 1
    assert numpy.array_equal(result, ARRAY * 2 + 1)
    text = compute_this(lambda: "x" * 2_000_000)().submit(backend)
    (frame,) = (taken := worker.take()).replies()
    assert len(frame) < 1000
    taken.push(frame)
    assert text.result(DEADLINE) == "x" * 2_000_000


@pytest.mark.usefixtures("sees")
def test_results_that_nobody_waits_for_are_freed(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """A broker may deliver a message twice."""
    future = double(ARRAY).submit(backend)
    taken = worker.take()
    taken.run()
    future.result(DEADLINE)
    taken.run()
    eventually(lambda: worker.connection.llen(taken.envelope["properties"]["reply_to"]) == 0)
    eventually(lambda: place.is_empty)


def test_a_result_that_is_gone_fails_its_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place
) -> None:
    """Somebody tidied up, say."""
    future = double(ARRAY).submit(backend)
    taken = worker.take()
    frames = list(taken.replies())
    for path in place.path.glob("distribute_challenge-*/*"):
        path.unlink()
    for frame in frames:
        taken.push(frame)
    with pytest.raises(ValueLostError, match="gone from shared memory"):
        future.result(DEADLINE)


def test_a_large_result_of_a_strange_worker_travels_in_its_reply(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And can be written to as well."""
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    future = compute_this(lambda x: [x * 2, "small", x[:3] * 2])(ARRAY).submit(backend)
    worker.serve([future])
    large, _, small = future.result()
    for array in (large, small):
        array += 1
    assert numpy.array_equal(large, ARRAY * 2 + 1)
    assert small.tolist() == [1, 3, 5]


def test_more_than_one_reply_holds_travels_in_several(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a map, and of calls that share a message; each outcome stays with its call."""
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    monkeypatch.setattr(sections, "MOST_IN_A_REPLY", 1_000_000)
    replies: list[int] = []

    def answer(taken: Taken) -> None:
        frames = list(taken.replies())
        replies.append(len(frames))
        for frame in frames:
            taken.push(frame)

    @compute_this
    def make(x: int) -> Any:
        if x % 3 == 2:
            raise ValueError(x)
        return "x" * 400_000 if x % 2 else ARRAY + x

    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(list, make.map(range(12), batch_size=12, on_error="return", backend=backend))
        worker.serve([results], answer)  # type: ignore[list-item]
    for number, result in enumerate(results.result()):
        assert_made(number, result)
    assert max(replies) > 2
    replies.clear()
    futures = [make(number).submit(backend) for number in range(60)]
    worker.serve(futures, answer)
    for number, future in enumerate(futures):
        assert_made(number, future.exception() or future.result())
    assert max(replies) > 1


def assert_made(number: int, result: Any) -> None:
    if number % 3 == 2:
        assert isinstance(result, ValueError)
    elif number % 2:
        assert result == "x" * 400_000
    else:
        assert result[0] == number


def test_a_result_that_redis_does_not_take_fails_its_call_alone(
    backend: CeleryExecutionBackend, worker: FakeWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says what to do."""
    backend.depot()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_SHARED_FOLDER", str(tmp_path))
    monkeypatch.setattr(sections, "LARGEST_IN_REDIS", 300_000)
    small, large = mapped(worker, double.map([ARRAY[:3], ARRAY], batch_size=2, on_error="return", backend=backend))
    assert len(small) == 3
    assert isinstance(large, StoreFullError)
    assert "the result of double has 0 MB" in str(large)
    results = mapped(worker, double.map(["x" * 100_000] * 3, batch_size=3, on_error="return", backend=backend))
    assert [type(result) for result in results] == [str] * 3


@pytest.mark.usefixtures("sees")
def test_full_shared_memory_is_passed_by(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    """Arguments go through Redis, and results in their reply; the user hears of it."""

    def full(*_: Any) -> Any:
        raise OSError(errno.ENOSPC, "no room")

    backend.depot()
    monkeypatch.setattr("distribute_challenge.stores.folder._write", full)
    future = double(ARRAY).submit(backend)
    assert (place.memory, len(place.redis)) == ([], 1)
    worker.serve([future])
    assert numpy.array_equal(future.result(), ARRAY * 2)
    assert "large values go another way" in caplog.text
    eventually(lambda: place.is_empty)


def test_where_nothing_has_room_the_call_says_so(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    """Small calls go on, and what had room before is freed."""
    backend.depot()
    worker.connection.config_set("maxmemory", "1")
    for argument in (ARRAY, "x" * 2_000_000):
        with pytest.raises(StoreFullError, match="Redis has no room"):
            double(argument).submit(backend)
    with pytest.raises(StoreFullError, match="Redis has no room"):
        list(double.map([ARRAY], backend=backend))
    with pytest.raises(StoreFullError, match="Redis has no room"):
        put(ARRAY, backend)
    worker.connection.config_set("maxmemory", "0")
    future = double(ARRAY).submit(backend)
    worker.serve([future])
    assert numpy.array_equal(future.result(), ARRAY * 2)


@pytest.mark.usefixtures("sees")
def test_arguments_of_a_call_that_cannot_be_made_are_freed(
    backend: CeleryExecutionBackend, server: Server, place: Place, eventually: Eventually
) -> None:
    """A second argument that cannot be pickled; a function that cannot; a broker that went away."""
    import threading

    lock = threading.Lock()
    with pytest.raises(SerialisationError):
        total(ARRAY, lock).submit(backend)
    with pytest.raises(SerialisationError):
        compute_this(lambda x: lock)(ARRAY).submit(backend)
    with pytest.raises(SerialisationError):
        compute_this(lambda x: lock)(ARRAY).submit("threads")
    eventually(lambda: place.is_empty)
    server.stop()
    with pytest.raises(BrokerUnreachableError):
        total(ARRAY).compute(backend)
    eventually(lambda: not place.memory)


def test_a_broker_that_is_away_is_an_error_at_the_first_large_value(
    backend: CeleryExecutionBackend, server: Server
) -> None:
    """As it is for any call that is waited for; a value that cannot be pickled is not to blame."""
    backend.concurrency  # noqa: B018 - connects
    server.stop()
    for call in (double(ARRAY), double("x" * 2_000_000)):
        with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
            call.submit(backend)
    with pytest.raises(BrokerUnreachableError, match="no Redis answers"):
        put(put(ARRAY, "local"), backend)


def test_a_worker_waits_for_a_broker_that_comes_back(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As it does with all that it asks of it; what the broker refuses is the call's error."""
    answers: list[Exception] = [redis.ConnectionError("away"), redis.ResponseError("refused")]
    get = stores.RedisStore._read

    def fail_first(store: Any, *arguments: Any) -> bool:
        if answers:
            raise answers.pop(0)
        return get(store, *arguments)

    monkeypatch.setattr("distribute_challenge.execution_backends.celery.replying.PAUSE", 0.01)
    monkeypatch.setattr(stores.RedisStore, "_read", fail_first)
    future = total(ARRAY).submit(backend)
    worker.serve([future])
    with pytest.raises(redis.ResponseError, match="refused"):
        future.result()
    assert "cannot fetch a large value, trying again: away" in caplog.text
    future = total(ARRAY).submit(backend)
    worker.serve([future])
    assert future.result() == ARRAY.sum()


# --- values that a worker does not find


@pytest.mark.usefixtures("sees")
def test_a_value_that_a_worker_misses_is_brought_to_it(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually, strange: None
) -> None:
    """The call is sent again, and the receiver is free meanwhile."""
    future = total(ARRAY, ARRAY + 1).submit(backend)
    assert (len(place.memory), len(place.redis)) == (2, 0)
    worker.serve([future])
    assert future.result() == ARRAY.sum() + (ARRAY + 1).sum()
    eventually(lambda: place.is_empty)


@pytest.fixture
def strange(backend: CeleryExecutionBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker has said that it sees shared memory, and does not."""
    backend.depot()
    monkeypatch.setattr("distribute_challenge.stores.folder.FolderStore.attach", lambda path: None)


@pytest.mark.usefixtures("sees", "strange")
def test_calls_of_its_message_that_miss_nothing_have_run(
    backend: CeleryExecutionBackend, worker: FakeWorker, eventually: Eventually
) -> None:
    """Once; the others run when theirs is there."""
    runs: list[Any] = []
    small = numpy.ones(3)

    @compute_this
    def note(x: Any) -> int:
        return len(x)

    futures = [note(ARRAY if number % 7 == 6 else small).submit(backend) for number in range(60)]

    def answer(taken: Taken) -> None:
        for frame in taken.replies():
            reply = Reply.decode(frame)
            runs.append((len(reply.finishes), reply.problem and reply.problem.kind))
            taken.push(frame)

    worker.serve(futures, answer)
    assert [future.result() for future in futures] == [50_000 if number % 7 == 6 else 3 for number in range(60)]
    assert sum(count for count, _ in runs) == 60
    assert "value_missing" in {problem for _, problem in runs}


@pytest.mark.usefixtures("sees", "strange")
def test_what_a_function_or_a_chunk_misses_is_brought_too(backend: CeleryExecutionBackend, worker: FakeWorker) -> None:
    array = ARRAY
    function = compute_this(lambda x: float(array[0] + x))
    future = function(1).submit(backend)
    worker.serve([future])
    assert future.result() == 1
    assert mapped(worker, total.map([ARRAY + 2] * 3, batch_size=3, backend=backend)) == [(ARRAY + 2).sum()] * 3


@pytest.mark.usefixtures("sees", "strange")
def test_a_value_that_is_gone_fails_its_call(backend: CeleryExecutionBackend, worker: FakeWorker, place: Place) -> None:
    future = total(ARRAY).submit(backend)
    for path in place.path.glob("distribute_challenge-*/*"):
        path.unlink()
    worker.serve([future])
    with pytest.raises(ValueLostError):
        future.result()


@pytest.mark.usefixtures("sees")
def test_a_worker_that_misses_a_value_again_and_again_fails_its_call(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    future = total(ARRAY).submit(backend)
    worker.serve([future], lambda taken: taken.report("value_missing", place.memory[0]))
    with pytest.raises(ValueLostError, match=f"put into their store {losses.MOST_MISSES} times"):
        future.result()
    eventually(lambda: place.is_empty)


@pytest.mark.usefixtures("sees")
def test_a_message_that_misses_a_value_twice_is_sent_again_once(
    backend: CeleryExecutionBackend, worker: FakeWorker, place: Place, eventually: Eventually
) -> None:
    """A broker may deliver twice."""
    future = total(ARRAY).submit(backend)
    taken = worker.take()
    for _ in range(2):
        taken.report("value_missing", place.memory[0])
    worker.serve([future])
    eventually(lambda: place.is_empty)
    assert worker.waiting() == 0


@pytest.mark.usefixtures("sees")
def test_bringing_a_value_waits_for_a_broker_that_comes_back(
    backend: CeleryExecutionBackend,
    worker: FakeWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    """Unless all is over."""
    depot = backend.depot()
    provide, attempts = depot.provide_everywhere, []

    def fail_first(keys: Any) -> None:
        attempts.append(keys)
        if len(attempts) == 1:
            raise BrokerUnreachableError("away")
        provide(keys)

    monkeypatch.setattr(depot, "provide_everywhere", fail_first)
    monkeypatch.setattr(client_values, "PAUSE", 0.01)
    future = total(ARRAY).submit(backend)
    worker.take().report("value_missing", "0" * 32)
    with pytest.raises(ValueLostError):
        future.result(DEADLINE)
    assert "cannot send large values, trying again: away" in caplog.text
    monkeypatch.setattr(client_values, "PAUSE", DEADLINE)
    attempts.clear()
    future = total(ARRAY).submit(backend)
    worker.take().report("value_missing", "0" * 32)
    eventually(lambda: len(attempts) == 1)
    backend.close()
    with pytest.raises(CallCancelledError):
        future.result(DEADLINE)
