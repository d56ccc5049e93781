"""What calls raised, in bounded memory."""

from distribute_challenge.reporting.failures import (
    MOST_KINDS,
    MOST_OTHERS,
    MOST_TRACEBACK,
    Failures,
)


class BrokenError(Exception):
    def __str__(self) -> str:
        raise SystemExit


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def add(failures: Failures, error: BaseException, function: str = "f", count: int = 1) -> None:
    failures.add(function, raised(error), count, lambda: f"{function}(1)", "w@h/1")


def test_equal_failures_are_grouped_with_the_traceback_of_the_first() -> None:
    failures = Failures()
    add(failures, ValueError("no"))
    add(failures, ValueError("no"), count=3)
    add(failures, ValueError("no"), "g")
    first, second = failures.kinds.values()
    assert (first.function, first.error, first.text, first.count) == ("f", "ValueError", "no", 4)
    assert (first.call, first.worker, second.count) == ("f(1)", "w@h/1", 1)
    assert "raise error" in first.traceback
    assert first.traceback.endswith("ValueError: no\n")


def test_failures_beyond_a_number_of_kinds_are_only_counted() -> None:
    failures = Failures()
    for number in range(MOST_KINDS + 5):
        add(failures, ValueError(str(number)))
    for number in range(MOST_OTHERS + 5):
        add(failures, KeyError(number), f"g{number}")
    add(failures, ValueError("0"))
    assert len(failures.kinds) == MOST_KINDS
    assert failures.others["f", "ValueError"] == 5
    assert len(failures.others) == MOST_OTHERS + 1
    assert failures.others["", ""] == 6
    assert next(iter(failures.kinds.values())).count == 2


def test_a_long_traceback_keeps_its_end_and_a_broken_exception_breaks_nothing() -> None:
    failures = Failures()
    add(failures, ValueError("x" * 2 * MOST_TRACEBACK))
    add(failures, BrokenError())
    long, broken = failures.kinds.values()
    assert len(long.traceback) < MOST_TRACEBACK + 100
    assert long.traceback.startswith("... ")
    assert broken.text == "<no text: str() raised builtins.SystemExit>"
