"""The batches of one run of `Parallel`, on an engine whose calls end when the test says so."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import use_backend
from distribute_challenge.core.options import CallOptions
from distribute_challenge.errors import BrokerUnreachableError
from tests.joblib.held import HeldBackend
from tests.optional import needed

needed("joblib")

from distribute_challenge.joblib.batch import Batch, Surroundings  # noqa: E402
from distribute_challenge.joblib.jobs import Job, Jobs  # noqa: E402
from tests.joblib.batches import batch_of  # noqa: E402

Eventually = Callable[[Callable[[], bool]], None]


def batch(size: int = 1) -> Batch:
    return batch_of(*[list] * size)


def jobs(engine: Any, most: int | None = None) -> Jobs:
    return Jobs(Surroundings({}), CallOptions(engine), engine.concurrency, most)


def test_at_most_the_given_number_of_batches_is_sent_at_the_same_time(
    eventually: Eventually,
) -> None:
    engine = HeldBackend()
    run = jobs(engine, most=2)
    ended: list[Job] = []
    sent = [run.submit(batch(), ended.append) for _ in range(4)]
    assert len(engine.futures) == 2
    engine.futures[1].resolve([0])
    eventually(lambda: len(engine.futures) == 3)
    eventually(lambda: ended == [sent[1]])
    assert sent[3].future is None


def test_without_a_limit_all_batches_are_sent_at_once() -> None:
    engine = HeldBackend()
    run = jobs(engine)
    for _ in range(20):
        run.submit(batch(), None)
    assert len(engine.futures) == 20


def test_aborted_batches_are_cancelled_and_not_reported(eventually: Eventually) -> None:
    """The same jobs are used again, by a `Parallel` that is a context manager."""
    engine = HeldBackend()
    run = jobs(engine, most=1)
    ended: list[Job] = []
    run.submit(batch(), ended.append)
    run.submit(batch(), ended.append)
    run.abort(for_good=False)
    assert engine.futures[0].cancelled()
    after = run.submit(batch(), ended.append)
    engine.futures[1].resolve([0])
    eventually(lambda: ended == [after])
    assert len(engine.futures) == 2


@pytest.mark.parametrize("is_reachable", [True, False])
def test_a_batch_that_is_aborted_while_it_is_sent_is_cancelled(is_reachable: bool) -> None:
    engine = HeldBackend(is_reachable=is_reachable)
    run = jobs(engine)
    engine.meanwhile = lambda: run.abort(for_good=False)
    ended: list[Job] = []
    run.submit(batch(), ended.append)
    assert all(future.cancelled() for future in engine.futures)
    assert not ended


def test_no_batch_is_sent_after_the_final_abort() -> None:
    """joblib may submit one more batch in the thread of a callback."""
    engine = HeldBackend()
    run = jobs(engine)
    run.abort(for_good=True)
    assert run.submit(batch(), None).future is None
    assert not engine.futures


def test_an_error_while_sending_is_the_exception_of_the_job() -> None:
    """In the thread of a callback, where joblib submits, an exception would be lost."""
    run = jobs(HeldBackend(is_reachable=False))
    ended: list[Job] = []
    job = run.submit(batch(), ended.append)
    assert ended == [job]
    assert job.future
    with pytest.raises(BrokerUnreachableError, match="no Redis here"):
        job.future.result()


def test_a_job_without_a_callback_ends(eventually: Eventually) -> None:
    engine = HeldBackend()
    run = jobs(engine, most=1)
    run.submit(batch(), None)
    run.submit(batch(), None)
    engine.futures[0].resolve([0])
    eventually(lambda: len(engine.futures) == 2)


def test_jobs_use_the_backend_of_the_thread_that_began_the_run() -> None:
    """joblib submits in other threads, too, which are in no `use_backend` block."""
    engine = HeldBackend()
    with use_backend(engine):
        run = Jobs(Surroundings({}), CallOptions(), engine.concurrency)
    thread = threading.Thread(target=run.submit, args=(batch(), None))
    thread.start()
    thread.join()
    assert len(engine.futures) == 1


def test_the_batch_size_grows_with_the_measured_time_of_calls_on_the_worker() -> None:
    """They stay small on an engine that does not measure."""
    engine = HeldBackend()
    run = jobs(engine)
    assert run.batch_size() == 1
    job = run.submit(batch(4), None)
    engine.futures[0].resolve([0, 1, 2, 3])
    run.record(job)
    assert run.batch_size() == 1
    job = run.submit(batch(4), None)
    # Waiting for 100 seconds, running for 0.004.
    engine.futures[1].resolve([0, 1, 2, 3], (0.0, 0.0, 100.0, 100.00404, 101.0, "worker"))
    run.record(job)
    assert [run.batch_size() for _ in range(2)] == [8, 49]
