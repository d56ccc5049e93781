"""Calls that follow others in a message, as a worker runs them."""

import datetime
import importlib
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.core.following import Following
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Batch, FunctionPayload, Reply
from distribute_challenge.core.needs import collecting
from distribute_challenge.core.outcome import UNBEGUN, Failure
from distribute_challenge.errors import CallTimeoutError, ValueMissingError
from distribute_challenge.execution import run as execution
from distribute_challenge.execution.function_cache import CachedFunction, FunctionCache
from distribute_challenge.execution.run import execute
from distribute_challenge.log import current_call
from distribute_challenge.serialisation import Open, PortableFunction, dumps, with_inputs
from distribute_challenge.serialisation.modules.project_importer import ProjectImporter
from distribute_challenge.serialisation.outcomes import decode_outcomes


@pytest.fixture(autouse=True)
def one_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outcomes travel together, also where a busy machine makes calls slow."""
    monkeypatch.setattr(execution, "FLUSH_AFTER", 60.0)


def portable(function: Callable[..., Any]) -> FunctionPayload:
    return PortableFunction(function, function.__name__, ()).payload()


def given(*values: Any) -> bytes:
    return dumps((values, {}), "arguments").data


def needing(*inputs: int) -> bytes:
    """Arguments that are the results of calls of the same message."""
    futures: tuple[Future[Any], ...] = tuple(Future() for _ in inputs)
    with collecting():
        return with_inputs(dumps((futures, {}), "arguments").data, inputs)


def run(
    first: list[bytes],
    *following: tuple[Callable[..., Any] | FunctionPayload, list[bytes]],
    known: bool = True,
    **options: Any,
) -> list[Reply]:
    """Run calls of `make`, and those that follow them."""
    functions = [portable(make)]
    arguments, parts = list(first), []
    for function, own in following:
        payload = function if isinstance(function, FunctionPayload) else portable(function)
        arguments += own
        parts.append(Following(payload.digest, payload.name, False, len(own)))
        functions.append(payload)
    batch = Batch("b1", functions[0].digest, "make", arguments, following=parts, **options)
    there = {each.digest: each.payload for each in (functions if known else functions[:1])}
    return [Reply.decode(frame) for frame in execute(batch.encode(), FunctionCache(there.get), "w")]


def outcomes(*arguments: Any, **options: Any) -> list[Any]:
    (reply,) = run(*arguments, **options)
    return decode_outcomes(reply)


def make(value: Any) -> Any:
    if value == "generator":
        return (each for each in ())
    if isinstance(value, Exception):
        raise value
    return value


def add(*numbers: int) -> int:
    return sum(numbers)


def append(items: list[int]) -> list[int]:
    items.append(1)
    return items


def named(_: Any) -> str | None:
    return current_call.get(None)


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def test_each_call_gets_the_results_that_it_needs() -> None:
    """Functions follow each other as often as they like."""
    first = [given(1), given(2)]
    found = outcomes(first, (add, [needing(0, 1), needing(2, 2)]), (make, [needing(3)]))
    assert found == [1, 2, 3, 6, 6]


def test_each_call_gets_its_own_copy_of_a_result() -> None:
    found = outcomes([given([])], (append, [needing(0), needing(0), needing(1)]))
    assert found == [[], [1], [1], [1, 1]]


def test_values_of_installed_classes_are_passed_to_later_calls() -> None:
    """The class must not be one of the user's project: see the tests of the client."""
    day = datetime.date(2026, 1, 2)
    assert outcomes([given(day)], (make, [needing(0)])) == [day, day]


def test_the_log_names_the_function_that_runs() -> None:
    assert outcomes([given(0)], (named, [needing(0)])) == [0, "named"]


@pytest.mark.parametrize("lead", [ValueError("no"), "generator"], ids=str)
def test_a_call_whose_input_failed_does_not_begin(lead: Any) -> None:
    """Nor do those that follow it. All others run."""
    failed, value, *rest = outcomes(
        [given(lead), given(1)], (add, [needing(0, 1), needing(2), needing(1)])
    )
    assert isinstance(failed, Failure)
    assert value == 1
    assert rest == [UNBEGUN, UNBEGUN, 1]


@pytest.mark.parametrize("number", [1, 5, -1])
def test_a_reference_to_no_earlier_call_leaves_the_call_unbegun(number: int) -> None:
    """Even with the secret, a client may make mistakes."""
    assert outcomes([given(0)], (make, [needing(number)])) == [0, UNBEGUN]


def test_the_time_limit_applies_to_each_call() -> None:
    """The error names the function."""
    (value, failure) = outcomes([given(5)], (sleep, [needing(0)]), timeout=0.05)
    assert value == 5
    assert isinstance(failure.error, CallTimeoutError)
    assert "sleep" in str(failure.error)


def test_a_missing_function_is_asked_for_when_its_turn_comes() -> None:
    """What has ended by then is not lost."""
    ended, missing = run([given(1)], (add, [needing(0)]), known=False)
    assert decode_outcomes(ended) == [1]
    assert not ended.ended
    assert missing.problem is not None
    assert (missing.problem.kind, missing.problem.text) == (
        "function_missing",
        portable(add).digest,
    )


def test_a_function_that_cannot_be_loaded_fails_its_own_calls() -> None:
    broken = FunctionPayload("d", b"nonsense", "broken")
    value, first, second = outcomes([given(1)], (broken, [needing(0), needing(0)]))
    assert value == 1
    assert isinstance(first, Failure)
    assert isinstance(second, Failure)
    assert "broken could not be loaded on the worker w." in first.error.__notes__[0]


def test_a_missing_captured_value_of_a_function_is_requested() -> None:
    """It is one that the function captures."""
    lead, payload = portable(make), portable(add)

    class Functions(FunctionCache):
        def load(
            self,
            digest: str,
            open: Open | None = None,  # noqa: A002
            *,
            follows: bool = False,
        ) -> CachedFunction | None:
            if digest == payload.digest:
                raise ValueMissingError(["there"])
            return super().load(digest, open, follows=follows)

    following = [Following(payload.digest, "add", False, 1)]
    batch = Batch("b1", lead.digest, "make", [given(1), needing(0)], following=following)
    functions = Functions({lead.digest: lead.payload}.get)
    ended, missing = map(Reply.decode, execute(batch, functions, "w"))
    assert decode_outcomes(ended) == [1]
    assert missing.problem is not None
    assert (missing.problem.kind, missing.problem.text) == ("value_missing", "there")


MODULES = {
    "one": """
        class Point:
            pass
        def make():
            return Point()
    """,
    "two": "def add(*numbers): return sum(numbers)",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of two modules."""
    for name, source in MODULES.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def importer() -> Iterator[ProjectImporter]:
    importer = ProjectImporter()
    yield importer
    importer.activate([])
    if importer in sys.meta_path:
        sys.meta_path.remove(importer)


def followed(importer: ProjectImporter, *functions: FunctionPayload) -> list[Any]:
    """The outcomes of a function without arguments, and of others behind it."""
    following = [Following(each.digest, each.name, False, 1) for each in functions[1:]]
    batch = Batch(
        "b1", functions[0].digest, "make", [given()] * len(functions), following=following
    )
    payloads = {each.digest: each.payload for each in functions}
    (frame,) = execute(batch, FunctionCache(payloads.get, importer), "w")
    return decode_outcomes(Reply.decode(frame))


def test_results_keep_their_class_although_the_next_function_has_other_modules(
    modules: Path, importer: ProjectImporter
) -> None:
    """The modules of the functions behind them do not take the place of theirs."""
    one, two = map(importlib.import_module, MODULES)
    point, total = followed(importer, portable(one.make), portable(two.add))
    assert type(point).__module__ == "one"
    assert type(point) is sys.modules["one"].Point
    assert total == 0


def test_a_function_with_another_version_of_a_module_does_not_follow(
    modules: Path, importer: ProjectImporter
) -> None:
    """The client sends its calls in a message of their own."""
    one = importlib.import_module("one")
    old = portable(one.make)
    (modules / "one.py").write_text(textwrap.dedent(MODULES["one"]) + "VERSION = 2")
    importlib.invalidate_caches()
    del sys.modules["one"]
    new = portable(importlib.import_module("one").make)
    point, unbegun = followed(importer, old, new)
    assert type(point).__name__ == "Point"
    assert unbegun is UNBEGUN
