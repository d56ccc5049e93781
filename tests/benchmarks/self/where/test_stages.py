"""From marks to the stages of calls."""

from collections.abc import Iterator

from benchmarks.self.where.marks import Mark, Place
from benchmarks.self.where.stages import (
    FIRST,
    STAGES,
    Taken,
    cpu_of_spans,
    middle_half,
    stages_of_calls,
)


def call(begin: int, *, thread: int = 1) -> Iterator[Mark]:
    """The marks of a call whose stages take 1, 2, 3 and so on, half of it CPU time."""
    wall, cpu = begin, 0
    yield Mark(wall, "client", 1, thread, FIRST[1], cpu)
    for number, stage in enumerate(STAGES, 1):
        wall += 2 * number
        cpu += number
        yield Mark(wall, stage.role, 1, thread, stage.end, cpu)


def test_stages_go_from_mark_to_mark() -> None:
    (taken,) = stages_of_calls(call(100))
    assert [each.wall for each in taken] == [2 * number for number in range(1, len(STAGES) + 1)]
    assert [each.cpu for each in taken] == list(range(1, len(STAGES) + 1))


def test_a_stage_that_ends_elsewhere_has_no_cpu_time() -> None:
    marks = [mark._replace(process=2) if mark.role == "main" else mark for mark in call(100)]
    (taken,) = stages_of_calls(marks)
    ends_elsewhere = {"to_worker", "to_child"}
    found = {stage.name for stage, each in zip(STAGES, taken, strict=True) if each.cpu is None}
    assert found == ends_elsewhere


def test_marks_that_belong_to_no_stage_are_passed_over() -> None:
    marks = list(call(100))
    other = Mark(marks[3].wall + 1, "main", 9, 1, Place.RESULT_ENDS, 0)
    assert stages_of_calls([other, *marks[:4], other, *marks[4:]]) == stages_of_calls(marks)


def test_a_call_without_all_its_marks_is_left_out() -> None:
    whole, second = list(call(100)), list(call(900))
    assert len(stages_of_calls([*whole[:5], *whole[6:], *second])) == 1


def test_cpu_time_of_spans_adds_up_by_thread() -> None:
    marks = [
        Mark(1, "main", 1, 1, Place.RESULT_BEGINS, 10),
        Mark(2, "main", 1, 2, Place.RESULT_BEGINS, 500),
        Mark(3, "child", 2, 1, Place.RESULT_BEGINS, 0),  # Of another role.
        Mark(4, "main", 1, 1, Place.RESULT_ENDS, 14),
        Mark(5, "main", 1, 2, Place.RESULT_ENDS, 502),
        Mark(6, "main", 1, 1, Place.RESULT_ENDS, 99),  # Its beginning was before the measurement.
    ]
    found = cpu_of_spans(marks)
    assert found["main_results"] == 4 + 2
    assert sum(found.values()) == 4 + 2


def test_the_middle_half_is_without_the_fastest_and_the_slowest_quarter() -> None:
    calls = [[Taken(wall, None), Taken(1, 1)] for wall in (900, 3, 1, 2, 4, 0, 5, 800)]
    assert [call[0].wall for call in middle_half(calls)] == [2, 3, 4, 5]
    assert middle_half(calls[:1]) == calls[:1]
