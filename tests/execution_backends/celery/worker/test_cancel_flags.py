"""The memory that a worker shares with its children."""

import os
import threading

from distribute_challenge.execution_backends.celery.worker.cancel_flags import CancelFlags, mark


def test_a_child_reads_what_its_parent_has_written() -> None:
    """Forked before it was written."""
    flags = CancelFlags()
    flags.write({"first": 1})
    there, here = os.pipe()
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child, which coverage leaves at its end
        os.read(ready, 1)
        flags.place(5).begin("c-1")
        os.write(here, repr(flags.read()).encode())
        os._exit(0)
    flags.write({"second": [2]})
    os.write(go, b"!")
    os.waitpid(child, 0)
    assert os.read(there, 1000) == b"(4, {'second': [2]})"
    assert flags.running(child) == (mark("c-1"), -1)
    for descriptor in (there, here, ready, go):
        os.close(descriptor)


def test_a_new_board_has_no_orders_and_no_running_calls() -> None:
    assert CancelFlags().read() == (0, {})
    assert CancelFlags().running(1) is None


def test_a_write_that_is_too_long_changes_nothing() -> None:
    flags = CancelFlags()
    flags.write(["short"])
    assert not flags.write("x" * 2_000_000)
    assert flags.read() == (2, ["short"])


def test_a_reader_during_a_write_reads_again() -> None:
    flags = CancelFlags()
    flags.write(["before"])
    flags._words[0] += 1  # As in the middle of `write`.

    def end() -> None:
        flags._words[0] += 1

    threading.Timer(0.05, end).start()
    assert flags.read() == (4, ["before"])


def test_a_child_process_publishes_the_call_that_it_runs() -> None:
    flags = CancelFlags()
    place = flags.place(7)
    place.begin("c-2")
    place.tell(3)
    assert flags.running(os.getpid()) == (mark("c-2"), 3)
