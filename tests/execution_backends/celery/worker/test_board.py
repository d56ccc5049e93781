"""The memory that a worker shares with its children."""

import os
import threading

from distribute_challenge.execution_backends.celery.worker.board import Board, mark


def test_a_child_reads_what_its_parent_has_written() -> None:
    """Forked before it was written."""
    board = Board()
    board.write({"first": 1})
    there, here = os.pipe()
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child, which coverage leaves at its end
        os.read(ready, 1)
        board.place(5).begin("c-1")
        os.write(here, repr(board.read()).encode())
        os._exit(0)
    board.write({"second": [2]})
    os.write(go, b"!")
    os.waitpid(child, 0)
    assert os.read(there, 1000) == b"(4, {'second': [2]})"
    assert board.running(child) == (mark("c-1"), -1)
    for descriptor in (there, here, ready, go):
        os.close(descriptor)


def test_an_empty_board_says_nothing() -> None:
    assert Board().read() == (0, {})
    assert Board().running(1) is None


def test_what_is_too_long_changes_nothing() -> None:
    board = Board()
    board.write(["short"])
    assert not board.write("x" * 2_000_000)
    assert board.read() == (2, ["short"])


def test_who_reads_while_it_is_written_reads_again() -> None:
    board = Board()
    board.write(["before"])
    board._words[0] += 1  # As in the middle of `write`.

    def end() -> None:
        board._words[0] += 1

    threading.Timer(0.05, end).start()
    assert board.read() == (4, ["before"])


def test_a_child_says_what_it_runs() -> None:
    board = Board()
    place = board.place(7)
    place.begin("c-2")
    place.tell(3)
    assert board.running(os.getpid()) == (mark("c-2"), 3)
