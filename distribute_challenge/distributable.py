"""A call that is ready to run and has not run."""

from collections.abc import Callable, Generator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar, cast

from distribute_challenge.errors import OptionError, ResultTimeoutError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.registry import Choice, resolve
from distribute_challenge.futures import Future
from distribute_challenge.messages import Task
from distribute_challenge.options import CallOptions
from distribute_challenge.serialisation import PortableFunction
from distribute_challenge.signature import call_text, function_name
from distribute_challenge.tasks import single_task

__all__ = ["Distributable", "Prepared"]

R = TypeVar("R")

# Seconds. To look at a file takes as long as to submit a call, and a loop submits hundreds of calls in this time.
SAME_BURST = 0.01

DAY = 86400.0  # Seconds.
MOMENT = 0.001  # Seconds; Redis knows nothing shorter.
LONGEST_TO_LIVE = 10 * 365 * DAY  # Whoever asks for more has most likely taken another unit.


class Prepared(NamedTuple):
    """What all calls of one function share."""

    name: str
    options: CallOptions
    portable: PortableFunction

    @classmethod
    def of(cls, function: Callable[..., Any], options: CallOptions) -> "Prepared":
        """Prepare a function that has not been pickled yet."""
        name = function_name(function)
        return cls(name, options, PortableFunction(function, name, options.retry_on))


class Distributable(Generic[R]):
    """One call of one function, with its arguments.

    Args:
        func: What to call.
        args: Positional arguments.
        kwargs: Keyword arguments.
        prepared: What the decorator knows of the function; made here if it is not given.

    Example:
        >>> call = Distributable(pow, (2, 10))
        >>> call
        <Distributable pow(2, 10)>
        >>> call.compute()
        1024
    """

    __slots__ = ("args", "func", "kwargs", "prepared")

    def __init__(
        self,
        func: Callable[..., R],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        self.func = func
        self.args = tuple(args)
        self.kwargs = dict(kwargs) if kwargs else {}
        self.prepared = prepared or Prepared.of(func, CallOptions())

    def compute(self, backend: Choice = None, timeout: float | None = None) -> R:
        """Run the call and wait for its value.

        Args:
            backend: Name of a backend, or a backend itself; None: what the decorator or the default says.
            timeout: Seconds to wait; a call that has not begun by then is cancelled.

        Raises:
            SerialisationError: The function or an argument cannot be pickled.
            SystemFailureError: The broker, the worker or the embedded cluster failed.
            ResultTimeoutError: No value within ``timeout``.
            BaseException: What the function itself raised, with the worker's frames in its traceback.
        """
        engine = resolve(backend, self.prepared.options.backend)
        future = engine.submit_now(self._task(engine))
        try:
            return cast(R, future.result(timeout))
        except ResultTimeoutError:
            if future.done():
                raise  # The call's own: it waited in vain for another one, or it has just ended.
            name = self.prepared.name
            end = (
                f"{name} was cancelled" if future.cancel() else f"{name} runs already and goes on, its value is dropped"
            )
            raise ResultTimeoutError(
                f"no value within timeout={timeout:g} s: {end}; give it more time, or use submit() to come back later"
            ) from None
        except KeyboardInterrupt:
            future.cancel(force=True)
            raise

    def submit(self, backend: Choice = None, *, detach: bool = False, time_to_live: float = DAY) -> Future[R]:
        """Start the call and return at once.

        Args:
            backend: As for `compute`.
            detach: Let the call go on when this process is gone: any process gets its result with `attach` and the future's ``id``.
            time_to_live: Seconds that the result of a detached call is kept, from its end on.

        Returns:
            A `concurrent.futures.Future` of the value that can also be awaited.

        Raises:
            SerialisationError: The function or an argument cannot be pickled.
            SystemFailureError: The broker or the embedded cluster cannot be reached.
            BackendError: ``detach`` on a backend that ends with this process.
            OptionError: ``time_to_live`` is not a number of seconds.
        """
        engine = resolve(backend, self.prepared.options.backend)
        if detach:
            seconds = _checked(time_to_live)
            # Without a depot: what is in there goes with this process.
            return engine.submit_detached(self._task(within=SAME_BURST), seconds)
        return engine.submit(self._task(engine, within=SAME_BURST))

    def __await__(self) -> Generator[Any, None, R]:
        return self.submit().__await__()

    def __repr__(self) -> str:
        return f"<Distributable {call_text(self.prepared.name, self.args, self.kwargs)}>"

    def _task(self, backend: ExecutionBackend | None = None, *, within: float = 0.0) -> Task:
        name, options, portable = self.prepared
        find_depot = None if backend is None else backend.depot
        return single_task(portable, name, self.args, self.kwargs, options, find_depot, within=within)


def _checked(time_to_live: float) -> float:
    is_number = isinstance(time_to_live, int | float) and not isinstance(time_to_live, bool)
    if not (is_number and MOMENT <= time_to_live <= LONGEST_TO_LIVE):
        raise OptionError(
            f"time_to_live={time_to_live!r}: expected the seconds that the result is kept, from {MOMENT:g} to {LONGEST_TO_LIVE:g}"
        )
    return time_to_live
