"""The maps that a process iterates."""

import weakref

from distribute_challenge import compute_this
from distribute_challenge.core import running_maps
from distribute_challenge.core.running_maps import RunningMap, maps_of
from distribute_challenge.execution_backends.local import LocalExecutionBackend

LOCAL = LocalExecutionBackend()


@compute_this
def invert(x: int) -> float:
    return 1 / x


def found() -> list[RunningMap]:
    """The maps on engines that have no client."""
    return [running for _, running in maps_of(None) if running.name == "invert"]


def test_a_map_is_known_from_its_first_result_until_it_is_deleted() -> None:
    """Another sender's maps are not listed."""
    results = invert.map([1, 0, 2, 4], on_error="return", batch_size=1, backend=LOCAL)
    assert not found()
    next(results), next(results)
    (running,) = found()
    assert (running.done, running.failed, running.total) == (2, 1, 4)
    assert running.unsent == 1  # The next one is on its way.
    assert running.queue == "distribute_challenge"
    assert not [each for _, each in maps_of(object()) if each is running]
    del running
    results.close()
    del results
    assert not found()


def test_a_map_of_unknown_length_has_no_more_calls_than_are_read() -> None:
    results = invert.map((x for x in [1, 2]), backend=LOCAL)
    next(results)
    (running,) = found()
    assert (running.total, running.unsent) == (None, 0)
    assert list(results) == [0.5]
    assert not found()


def test_a_map_that_has_ended_is_remembered_without_what_has_sent_it() -> None:
    class Sender:
        pass

    class Ended:
        name, queue, total, done, failed, unsent = "invert", "queue", 4, 3, 1, 0
        sender = Sender()

    sender, running = Ended.sender, Ended()
    number = running_maps.add(running)
    running_maps.end(number)
    running_maps.end(number)
    (one,) = running_maps.ended_maps_of(sender)
    assert one[0] == number
    assert one[1][:4] == ("invert", 4, 3, 1)
    Ended.sender = None  # type: ignore[assignment]
    gone = weakref.ref(sender)
    del sender
    assert gone() is None
