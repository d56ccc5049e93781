"""A snapshot as text."""

from dataclasses import replace

from distribute_challenge.dashboard.snapshot import FailureRow, FunctionRow, Lane
from distribute_challenge.dashboard.terminal import screen
from tests.dashboard.snapshots import snapshot


def test_a_screen_has_each_part_of_a_snapshot() -> None:
    text = screen(snapshot(), 100, 100)
    for part in (
        "redis://host",
        "Redis 7.2, 2.0 MB",
        "workers: 1, processes busy: 1 of 2, unfinished calls: 70",
        "calls a second: 15.0, ended: 30, failed: 3, lost messages: 1",
        "note: something",
        "calls/s ▄█",
        "w@vm    here   1/2   200 bytes  1.0 kB  1 s   queue",
        "x@vm    lost   -     -          -       99 s  queue",
        "fit      3.0 s  w@vm    1        100 bytes",
        "square    ███████░░░░░░░░░░░░░     30       3   10       40  0.05 s",
        "and 2 more functions",
        "square  █████░░░░░░░░░░░░░░░    20  80       3",
        "fit     ░░░░░░░░░░░░░░░░░░░░     0  ?        0",
        "total  ██████████░░░░░░░░░░     10  20    4        6       0  3.2 s",
        "total  ██████████░░░░░░░░░░      5  10    5        0       2  3.0 s",
        "and 3 more graphs",
        "queue          70         6          2",
        "jobs            █████░░░░░░░░░░░░░░░        3         5             1",
        "all\\n                                       2         2             0",
        "and 4 more queues of items",
        "  square on w@vm/1: ValueError: 1",
    ):
        assert part in text, text
    assert "mean" not in text


def test_parts_without_data_take_no_room_on_the_screen() -> None:
    redis = snapshot().redis._replace(memory_limit=4_000_000)
    text = screen(
        snapshot(
            redis=redis,
            workers=[],
            lanes=[],
            functions=[],
            functions_left_out=0,
            maps=[],
            graphs=[],
            item_queues=[],
            failures=[],
            points=[],
            notes=[],
        ),
        100,
        100,
    )
    assert text.splitlines()[-4:] == [
        "no worker is present",
        "",
        "queue  unfinished  messages  processes",
        "queue          70         6          2",
    ]
    assert "2.0 MB of 4.0 MB" in text


def test_text_that_does_not_fit_the_screen_is_cut_off() -> None:
    text = screen(snapshot(), 20, 3)
    assert text.splitlines() == ["redis://host", "Redis 7.2, 2.0 MB", "workers: 1, processe"]


def test_many_running_messages_are_cut() -> None:
    lane = snapshot().lanes[0]
    lanes = [Lane("w", pid, 1, True, lane.bars[-1:], ()) for pid in range(20)]
    assert "and 8 more running messages" in screen(snapshot(lanes=lanes), 100, 100)


def test_texts_of_the_cluster_cannot_move_the_cursor() -> None:
    evil = "\x1b[2J"
    failure = FailureRow(0.0, evil, evil, 1, evil, evil)
    function = FunctionRow(evil, 1, 0, 0, 0, 0.0)
    text = screen(
        replace(snapshot(), broker=evil, notes=[evil], failures=[failure], functions=[function]),
        100,
        100,
    )
    assert "\x1b" not in text
    assert r"\x1b[2J" in text
