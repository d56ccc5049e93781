"""What becomes of a call that is lost, late or unlucky."""

import pickle
from math import inf

import pytest

from distribute_challenge.core.messages import FunctionPayload, Problem, Task
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.outcome import Failure
from distribute_challenge.errors import (
    Attempt,
    BrokerUnreachableError,
    CallCancelledError,
    CallTimeoutError,
    DistributeChallengeError,
    SerialisationError,
    TaskLostError,
    ValueLostError,
    VersionMismatchError,
    WorkerLostError,
)
from distribute_challenge.execution_backends import policy

ALONE, TOGETHER = Attempt("w", 1.0, 2.0, "it died"), Attempt("w", 1.0, 2.0, "it died", 5)


def task(chunk: int = 0, **options: object) -> Task:
    arguments = [(3,)] * chunk if chunk else ((3,), {})
    return Task(
        FunctionPayload("", b"", "f"),
        pickle.dumps(arguments),
        CallOptions().updated(**options),
        10.0,
        chunk,
    )


@pytest.mark.parametrize(
    ("what", "kind", "attempts", "calls", "error"),
    [
        (task(), "lost", [ALONE], 1, None),
        (task(), "lost", [ALONE] * 2, 1, None),
        (task(), "lost", [ALONE] * 3, 1, WorkerLostError),
        (task(), "lost", [TOGETHER] * 3, 5, None),
        (task(at_most_once=True), "lost", [ALONE], 1, WorkerLostError),
        (task(at_most_once=True), "lost", [TOGETHER], 5, WorkerLostError),
        (task(chunk=1), "lost", [ALONE], 1, None),
        (task(chunk=4), "lost", [ALONE], 4, WorkerLostError),
        (task(timeout=1.0), "timeout", [ALONE], 1, CallTimeoutError),
        (task(timeout=1.0), "timeout", [TOGETHER], 5, None),
        (task(at_most_once=True), "timeout", [TOGETHER], 5, WorkerLostError),
        (task(), "expired", [], 1, None),
        (task(at_most_once=True), "expired", [], 1, None),
        (task(), "value_missing", [], 1, None),
        (task(), "cancelled", [], 1, None),
        (task(chunk=1), "cancelled", [], 1, CallCancelledError),
        (task(at_most_once=True), "cancelled", [ALONE], 1, WorkerLostError),
        (task(), "version", [], 1, VersionMismatchError),
    ],
)
def test_a_call_whose_worker_died_is_begun_three_times_at_most(
    what: Task,
    kind: str,
    attempts: list[Attempt],
    calls: int,
    error: type[DistributeChallengeError] | None,
) -> None:
    """It is begun three times in all."""
    problem = Problem(kind, "so says the worker")
    assert policy.counts(what, problem) == bool(attempts)
    make_error = policy.after_problem(what, attempts, problem, allowed=3, calls=calls)
    if error is None:
        assert make_error is None
    else:
        assert make_error is not None
        assert isinstance(make_error(), error)


def test_a_call_whose_process_died_before_it_had_begun_is_begun_a_few_times() -> None:
    """This holds for a call that may run only once, too."""
    once = task(at_most_once=True)
    assert policy.after_unbegun(once, [ALONE] * (policy.MOST_LOSSES - 1)) is None
    make_error = policy.after_unbegun(once, [ALONE] * policy.MOST_LOSSES)
    assert make_error is not None
    assert "That happened 3 times before the call had begun" in str(make_error())


def test_a_call_whose_message_has_vanished_is_sent_again_a_few_times() -> None:
    """One that may run only once is not. Its map sends the rest of a chunk again."""
    assert policy.after_vanishing(task(), [ALONE], policy.MOST_LOSSES - 1, is_cut=False) is None
    for what, losses, is_cut, error in (
        (task(), policy.MOST_LOSSES, False, TaskLostError),
        (task(at_most_once=True), 1, False, TaskLostError),
        (task(chunk=2, at_most_once=True), 1, True, TaskLostError),
        (task(chunk=2), 1, True, WorkerLostError),
    ):
        make_error = policy.after_vanishing(what, [ALONE], losses, is_cut=is_cut)
        assert make_error is not None
        assert type(make_error()) is error


def test_a_call_that_misses_a_value_is_sent_again_a_few_times() -> None:
    assert policy.after_miss(task(), policy.MOST_MISSES - 1, is_cut=False) is None
    for is_cut, error in ((False, ValueLostError), (True, WorkerLostError)):
        make_error = policy.after_miss(task(), policy.MOST_MISSES, is_cut=is_cut)
        assert make_error is not None
        assert type(make_error()) is error


def test_the_queue_timeout_counts_from_the_creation_or_the_last_loss_of_a_call() -> None:
    assert policy.begin_by(task()) == inf
    assert policy.begin_by(task(queue_timeout=5)) == 15
    assert policy.begin_by(task(queue_timeout=5), [ALONE]) == 7
    assert "no worker has begun it within queue_timeout=5 s (it waited 6.0 s)" in str(
        policy.queue_timeout_error(task(queue_timeout=5), [], 16.0, "wait")
    )
    assert "begun it again within" in str(
        policy.queue_timeout_error(task(queue_timeout=5), [ALONE], 16.0, "wait")
    )


def test_the_most_urgent_call_comes_first() -> None:
    assert sorted(
        [0, 9, 5], key=lambda priority: policy.urgency(CallOptions(priority=priority))
    ) == [9, 5, 0]


def test_a_process_is_killed_when_no_attempt_can_still_run() -> None:
    """It is killed after all retries and their pauses."""
    assert policy.hard_limit(None, 3) is None
    assert policy.hard_limit(1.0, 0) == 1.0 + policy.HARD_LIMIT_GRACE
    assert (
        policy.hard_limit(1.0, 2, before=0.5) == 0.5 + 3 * 1.0 + 2 * 5.0 + policy.HARD_LIMIT_GRACE
    )
    assert policy.hard_limit(1e300, 0) == policy.LONGEST_LIMIT


def test_calls_that_may_run_once_have_one_attempt() -> None:
    assert policy.allowed_attempts(CallOptions(), 3) == 3
    assert policy.allowed_attempts(CallOptions(at_most_once=True), 3) == 1


def test_each_call_of_a_lost_at_most_once_chunk_has_an_outcome() -> None:
    """So its map sends none again."""
    error = WorkerLostError("gone")
    result = policy.result_of_lost(task(chunk=3, at_most_once=True), error, [1], 3)
    assert result is not None
    first, *others = result.outcomes
    assert (first, [type(outcome) for outcome in others]) == (1, [Failure, Failure])
    assert policy.result_of_lost(task(chunk=3), error, [], 3) is None
    assert policy.result_of_lost(task(at_most_once=True), error, [], 1) is None


def test_a_map_goes_on_after_errors_of_its_calls_alone() -> None:
    assert policy.is_sent_one_by_one(WorkerLostError("gone"), 2, is_part=False)
    assert policy.is_sent_one_by_one(SerialisationError("no"), 1, is_part=True)
    assert not policy.is_sent_one_by_one(WorkerLostError("gone"), 1, is_part=False)
    assert not policy.is_sent_one_by_one(ValueError("the call's"), 2, is_part=True)
    assert policy.ends_map(BrokerUnreachableError("away"))
    assert not policy.ends_map(TaskLostError("gone"))
    assert not policy.ends_map(ValueError("the call's"))


def test_the_error_of_an_option_names_the_option_the_engine_and_the_way_out() -> None:
    """It does so for one option and for several, and where no engine keeps it."""
    options = CallOptions(queue="gpu", priority=3)
    assert str(policy.not_honoured(options, {"queue", "priority"}, "mine", ["celery"])) == (
        "the backend 'mine' does not keep priority=3, queue='gpu'; 'celery' does. Use one that "
        "does, or leave the options out: "
        ".with_options(priority=0, queue='distribute_challenge')"
    )
    assert "; no backend here does. Leave the option out" in str(
        policy.not_honoured(options, {"queue"}, "mine", [])
    )
