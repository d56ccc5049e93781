"""The client's books."""

import time
from typing import Any

import pytest

from distribute_challenge.core import clock
from distribute_challenge.core.batching import FEW, HOLD, LARGEST_BYTES
from distribute_challenge.core.messages import FunctionPayload, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import Attempt
from distribute_challenge.execution_backends.celery.broker.publishing import Message
from distribute_challenge.execution_backends.celery.client.calls import Call, SentBatch
from distribute_challenge.execution_backends.celery.client.outbox import Group, Outbox
from distribute_challenge.execution_backends.celery.client.pending import PendingCalls

OPEN: set[tuple[str, int]] = set()


def call(name: str = "f", *, chunk: int = 0, payload: bytes = b"", **options: Any) -> Call:
    function = FunctionPayload(name, payload, name)
    task = Task(function, b"", CallOptions(**options), time.time(), chunk)
    return Call(task, lambda call: False)


def test_functions_take_turns() -> None:
    """A flood of one does not hold up another."""
    outbox = Outbox()
    flood, other = [call("flood") for _ in range(3)], call("other")
    for each in (*flood, other):
        outbox.put(each)
    taken = []
    while (group := outbox.next_group(OPEN)) is not None:
        taken += group.take(1)
    assert taken == [flood[0], other, flood[1], flood[2]]


def test_urgent_calls_go_first() -> None:
    """Whenever they came."""
    outbox = Outbox()
    later, urgent = call(), call(priority=9)
    outbox.put(later)
    outbox.put(urgent)
    group = outbox.next_group(OPEN)
    assert group is not None
    assert group.take(1) == [urgent]


def test_no_call_is_taken_for_a_full_queue() -> None:
    """Others do."""
    outbox = Outbox()
    outbox.put(call(queue="full"))
    assert outbox.next_group({("full", 0)}) is None
    outbox.put(call(queue="free"))
    group = outbox.next_group({("full", 0)})
    assert group is not None
    assert group.options.queue == "free"


def test_chunks_and_suspected_calls_are_sent_in_messages_of_their_own() -> None:
    """The batch size does not matter."""
    outbox = Outbox()
    calls = [call(), call(), call(chunk=5), call(), call(), call()]
    calls[4].alone = True
    for each in calls:
        outbox.put(each)
    group = outbox.group_of(calls[0].task)
    group.sizer.record(1000, 0.001)
    taken = []
    while outbox.next_group(OPEN) is not None:
        taken.append(group.take(1))
    assert taken == [calls[0:2], calls[2:3], calls[3:4], calls[4:5], calls[5:6]]


@pytest.fixture
def clock_of_test(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the client reads; the test sets it."""
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    return now


def test_short_calls_wait_a_moment_for_others_while_some_messages_are_out(
    clock_of_test: list[float],
) -> None:
    pending = PendingCalls("client")
    group = pending.outbox.group_of(call().task)
    group.sizer.record(calls=10, seconds=0.001)

    def next_group() -> Group | None:
        return pending.next_group(lambda queue: 2)

    with pending:
        batches = []
        for _ in range(FEW):
            pending.put(call())
            assert next_group() is group
            batches.append(pending.register(group, group.take(2), 2))
        pending.put(call())
        assert next_group() is None
        assert pending.outbox.holds
        clock_of_test[0] += 2 * HOLD  # It has waited for long enough.
        assert next_group() is group
        assert not pending.outbox.holds
        clock_of_test[0] -= 2 * HOLD
        pending.drop(batches[0])  # It was answered.
        assert next_group() is group
        batches.append(pending.register(group, group.take(2), 2))
        for _ in range(9):
            pending.put(call())
            assert next_group() is None
        pending.put(call())  # Ten of them take as long as a message costs.
        assert next_group() is group


@pytest.mark.parametrize("kind", ["unknown", "chunk", "alone", "slow", "of another function"])
def test_other_calls_do_not_wait_for_others(kind: str, clock_of_test: list[float]) -> None:
    pending = PendingCalls("client")
    group = other = pending.outbox.group_of(call().task)
    if kind == "of another function":
        other = pending.outbox.group_of(call("other").task)
        other.sizer.record(calls=1, seconds=0.0001)
    if kind != "unknown":
        group.sizer.record(calls=1, seconds=0.01 if kind == "slow" else 0.0001)
    with pending:
        for _ in range(FEW):
            pending.put(call())
            pending.register(group, group.take(2), 2)
        last = call(other.function.name, chunk=5 if kind == "chunk" else 0)
        last.alone = kind == "alone"
        pending.put(last)
        assert pending.next_group(lambda queue: 2) is other


def test_waiting_calls_are_counted_by_queue() -> None:
    """A chunk counts as the calls in it."""
    outbox = Outbox()
    gone = call(queue="b")
    for each in (call(), call(chunk=7), gone):
        outbox.put(each)
    assert outbox.waiting == {"distribute_challenge": 8, "b": 1}
    assert outbox.remove(gone)
    assert not outbox.remove(gone)
    assert not outbox.remove(call("unknown"))
    assert outbox.waiting == {"distribute_challenge": 8}
    assert len(outbox.clear()) == 2
    assert outbox.waiting == {}


def test_large_arguments_bound_the_calls_of_a_message() -> None:
    """A single call travels, whatever its size."""
    outbox = Outbox()
    template = call().task
    sizes = [100_000] * 30 + [3 * LARGEST_BYTES]
    for size in sizes:
        outbox.put(Call(template._replace(arguments=bytes(size)), lambda call: False))
    group = outbox.group_of(template)
    taken = []
    while outbox.next_group(OPEN) is not None:
        group.sizer.record(1000, 0.001)
        taken.append(sum(len(each.task.arguments) for each in group.take(1)))
    assert sum(taken) == sum(sizes)
    assert max(taken[:-1]) <= LARGEST_BYTES
    assert max(taken[:-1]) > LARGEST_BYTES / 2
    assert taken[-1] == 3 * LARGEST_BYTES


@pytest.mark.parametrize("numbers", [[1], [0, 2, 4], [0, 1, 2, 3], [4, 3, 2, 1, 0]])
def test_calls_that_are_taken_out_leave_the_others_in_order(numbers: list[int]) -> None:
    """There may be many, and some may come back in front."""
    outbox = Outbox()
    calls = [call() for _ in range(5)]
    for each in calls:
        outbox.put(each)
    for number in numbers:
        assert outbox.remove(calls[number])
        assert not outbox.remove(calls[number])
    left = [each for number, each in enumerate(calls) if number not in numbers]
    assert list(outbox.calls()) == left
    back = call()
    outbox.put(back, first=True)
    taken: list[Call] = []
    while (group := outbox.next_group(OPEN)) is not None:
        taken += group.take(1)
    assert taken == [back, *left]


def test_the_outbox_forgets_functions_when_there_are_too_many() -> None:
    """The outbox forgets functions when there are more than a program calls."""
    outbox = Outbox()
    busy = call("busy")
    outbox.put(busy)
    first = outbox.group_of(call("f0").task)
    assert outbox.group_of(call("f0").task) is first
    for number in range(Outbox.KEPT_GROUPS + 10):
        outbox.group_of(call(f"f{number}").task)
    assert outbox.group_of(call("f0").task).sizer is first.sizer
    for number in range(Outbox.KEPT_GROUPS + Outbox.KEPT_LEARNT + 10):
        outbox.group_of(call(f"f{number}").task)
    assert outbox.group_of(call("f0").task).sizer is not first.sizer
    assert outbox.remove(busy)


def test_the_outbox_drops_functions_that_take_too_much_memory() -> None:
    """What it has learnt of them stays. A payload has the modules of the user's project with it."""
    outbox = Outbox()
    payload = bytes(Outbox.KEPT_BYTES // 4)
    busy = call("busy", payload=payload)
    outbox.put(busy)
    groups = [outbox.group_of(call("f0", payload=payload).task)]
    groups[0].follows = False
    groups += [outbox.group_of(call(f"f{number}", payload=payload).task) for number in range(1, 5)]
    again = [outbox.group_of(call(f"f{number}", payload=payload).task) for number in (2, 3, 4, 0)]
    assert again[:3] == groups[2:]
    assert again[3] is not groups[0]
    assert again[3].sizer is groups[0].sizer
    assert not again[3].follows
    assert outbox.remove(busy)


def test_functions_with_waiting_calls_are_not_forgotten() -> None:
    """Calls of more functions wait than are kept without calls."""
    outbox = Outbox()
    calls = [call(f"f{number}") for number in range(Outbox.KEPT_GROUPS + 10)] * 2
    calls = [call(each.name) for each in calls]
    for each in calls:
        outbox.put(each)
    assert sum(outbox.waiting.values()) == len(calls)
    taken: list[Call] = []
    while (group := outbox.next_group(OPEN)) is not None:
        taken += group.take(1)
    assert set(taken) == set(calls)


def test_calls_that_wait_for_too_long_are_taken_out() -> None:
    """No others are, and they keep their order. A group without a limit is not looked at."""
    outbox = Outbox()
    calls = [call(queue_timeout=limit) for limit in (1.0, 1.0, 60.0, None)]
    for each in calls:
        outbox.put(each)
    now = calls[0].task.created
    assert now + 0.5 < outbox.begin_by() < now + 1.5
    assert outbox.take_overdue(now) == []
    assert outbox.take_overdue(now + 10) == calls[:2]
    assert outbox.begin_by() > now + 50
    assert outbox.take_overdue(now + 100) == [calls[2]]
    assert outbox.begin_by() == float("inf")


def test_begin_by_is_the_earliest_although_a_lost_call_stands_in_front() -> None:
    """It has more time than those behind it, as it counts from when it was lost."""
    outbox = Outbox()
    lost, fresh, later = (call(queue_timeout=10.0) for _ in range(3))
    lost.attempts = (Attempt("w", 0.0, time.time() + 1000, "it died", 1),)
    later.task = later.task._replace(created=fresh.task.created + 100)
    for each in (lost, fresh, later):
        outbox.put(each)
    assert outbox.begin_by() == fresh.begin_by < lost.begin_by


def test_a_message_whose_dropping_is_interrupted_leaves_its_place_and_can_be_dropped_again() -> (
    None
):
    """Ctrl+C may come between any two steps."""

    class Sent(dict[str, SentBatch]):
        def pop(self, *_: object) -> Any:
            raise KeyboardInterrupt

    pending = PendingCalls("client")
    task = Task(FunctionPayload("f", b"", "f"), b"", CallOptions(), 0.0)
    group = Outbox().group_of(task)
    with pending:
        batch = pending.register(group, [Call(task, lambda call: False)], slots=1)
        batch.message = Message("queue", b"", "tag")
        sent, pending.sent = pending.sent, Sent(pending.sent)
        with pytest.raises(KeyboardInterrupt):
            pending.drop(batch)
        assert not any(pending._out.values())
        assert batch.message is not None  # So that the client looks for it.
        pending.sent = sent
        pending.drop(batch)
        assert batch.message is None
        assert not pending.sent
