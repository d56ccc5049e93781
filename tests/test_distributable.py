"""A call that is ready to run."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge import Distributable, ExecutionBackend, Future, compute_this, use_backend
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import ResultTimeoutError, SerialisationError


class Never(ExecutionBackend):
    """Takes calls and does not run them."""

    def __init__(self) -> None:
        self.futures: list[Future[Any]] = []
        self.interrupted = False

    def submit(self, task: Task) -> Future[Any]:
        future: Future[Any] = Future(task.function.name)
        self.futures.append(future)
        if self.interrupted:
            future.set_exception(KeyboardInterrupt())
        return future


def test_making_a_call_runs_nothing() -> None:
    """It holds what it was made of."""
    calls: list[int] = []
    call = Distributable(calls.append, [1], {"k": 2})  # type: ignore[arg-type]
    assert calls == []
    assert (call.func, call.args, call.kwargs) == (calls.append, (1,), {"k": 2})


def test_a_call_can_be_made_without_the_decorator() -> None:
    """It may have arguments or none."""
    assert Distributable(pow, (2, 10)).compute("local") == 1024
    assert Distributable(dict, (), {"a": 1}).compute("local") == {"a": 1}
    assert Distributable(list).compute("local") == []


def test_a_call_can_run_more_than_once() -> None:
    """Each time anew."""
    call = Distributable(pow, (2, 3))
    assert call.compute("local") == call.compute("threads") == 8


def test_the_repr_of_a_call_shows_function_and_arguments() -> None:
    """Cut if it is long."""
    assert repr(Distributable(pow, (2,), {"mod": 3})) == "<Distributable pow(2, mod=3)>"


def test_submit_returns_at_once() -> None:
    """It returns a future."""
    backend = Never()
    assert not Distributable(pow, (2, 3)).submit(backend).done()


def test_compute_cancels_a_call_that_has_not_begun_within_the_timeout() -> None:
    """It has not begun."""
    backend = Never()
    with pytest.raises(ResultTimeoutError, match=r"timeout=0\.01 s: pow was cancelled"):
        Distributable(pow, (2, 3)).compute(backend, timeout=0.01)
    assert backend.futures[0].cancelled()


def test_ctrl_c_while_waiting_cancels_the_call() -> None:
    """The interrupt reaches the caller all the same."""
    backend = Never()
    backend.interrupted = True
    cancelled: list[bool] = []

    class Watched(Future[Any]):
        def cancel(self, force: bool = False) -> bool:
            cancelled.append(force)
            return super().cancel(force)

    def submit(task: Task) -> Future[Any]:
        future: Future[Any] = Watched("f")
        future.set_exception(KeyboardInterrupt())
        return future

    backend.submit = submit  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        Distributable(pow, (2, 3)).compute(backend)
    assert cancelled == [True]


def test_an_awaited_call_that_cannot_be_sent_raises_at_the_await() -> None:
    async def main() -> None:
        await Distributable(len, (threading.Lock(),))

    with pytest.raises(SerialisationError, match="lock") as caught:
        asyncio.run(main())
    assert caught.traceback[-1].name == "main"


def test_a_call_can_be_awaited() -> None:
    """A block names the backend."""

    async def main() -> int:
        with use_backend("threads"):
            return await Distributable(pow, (2, 3))

    assert asyncio.run(main()) == 8


def test_the_backend_given_to_compute_overrides_that_of_the_function() -> None:
    """The nearest word counts."""
    call = compute_this(
        lambda: threading.current_thread() is threading.main_thread(), backend="threads"
    )()
    assert call.compute() is False
    assert call.compute("local") is True


def test_compute_tells_the_engine_that_someone_waits(eventually: Callable[..., None]) -> None:
    """`submit_now` for it, `submit` for the others."""
    seen: list[str] = []

    class Watched(Never):
        def submit(self, task: Task) -> Future[Any]:
            seen.append("submit")
            future = super().submit(task)
            future.resolve(1)
            return future

        def submit_now(self, task: Task) -> Future[Any]:
            seen.append("now")
            return super().submit_now(task)

    backend = Watched()
    Distributable(pow, (2, 3)).submit(backend)
    Distributable(pow, (2, 3)).compute(backend)
    assert seen == ["submit", "now", "submit"]


def test_a_result_timeout_error_raised_by_the_call_passes_unchanged() -> None:
    """It is the result, unchanged."""

    def wait_in_vain() -> None:
        raise ResultTimeoutError("the inner one")

    for timeout in (None, 30):
        with pytest.raises(ResultTimeoutError, match="the inner one"):
            Distributable(wait_in_vain).compute("local", timeout=timeout)


def test_a_call_that_runs_already_goes_on_without_its_caller() -> None:
    """The message says that its value is dropped."""

    class Running(Never):
        def submit(self, task: Task) -> Future[Any]:
            future = super().submit(task)
            future.withdraw_with(lambda: False)
            return future

    with pytest.raises(
        ResultTimeoutError, match="pow runs already and goes on, its value is dropped"
    ):
        Distributable(pow, (2, 3)).compute(Running(), timeout=0.01)


@pytest.mark.parametrize(
    "use",
    [
        bool,
        len,
        list,
        int,
        lambda call: call == 4,
        lambda call: call != 4,
        lambda call: call + 1,
        lambda call: 1 + call,
        lambda call: call[0],
        lambda call: 4 in call,
        lambda call: -call,
        lambda call: sorted([call, call]),
    ],
)
def test_using_a_call_as_its_value_raises_type_error(use: Callable[[Any], Any]) -> None:
    """It says what to write."""
    call = Distributable(pow, (2, 2))
    with pytest.raises(
        TypeError,
        match=r"<Distributable pow\(2, 2\)> is a call that has not run: write \.compute\(\)",
    ):
        use(call)
    assert {call: 1}[call] == 1


def test_an_attribute_of_a_call_that_has_not_run_is_an_error_that_says_what_to_write() -> None:
    with pytest.raises(
        AttributeError, match=r"has not run, and has no 'real': write \.compute\(\)"
    ):
        _ = Distributable(pow, (2, 2)).real  # type: ignore[attr-defined]


def test_a_call_that_a_function_captures_is_refused() -> None:
    """The error comes at the caller's line, and says where it belongs."""
    call = Distributable(pow, (2, 2))
    with pytest.raises(SerialisationError, match="pass it as an argument of the call that needs"):
        Distributable(lambda: call).submit("threads")


def test_calling_compute_on_a_function_raises_an_error_that_says_to_call_it_first() -> None:
    square = compute_this(lambda x: x * x)
    with pytest.raises(
        AttributeError, match=r"call it first, as in <lambda>\(\.\.\.\)\.compute\(\)"
    ):
        square.compute()  # type: ignore[attr-defined]
    assert not hasattr(square, "other")
