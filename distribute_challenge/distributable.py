"""`Distributable`: a call that is ready to run and has not run."""

from collections.abc import Callable, Generator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from distribute_challenge.core.folding import fold
from distribute_challenge.core.future_text import short
from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.core.needs import as_they_are, is_as_they_are, stand_in
from distribute_challenge.core.never_run import HAS_RUN, ToRun
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.recording import recorded
from distribute_challenge.core.signature import call_text, function_name
from distribute_challenge.errors import OptionError, ResultTimeoutError
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.registry import Choice, check_honoured, resolve
from distribute_challenge.serialisation import SAME_BURST, PortableFunction
from distribute_challenge.serialisation.tasks import single_task

if TYPE_CHECKING:
    from distribute_challenge.decorator import compute_this as compute_this
    from distribute_challenge.graph.submission import Submittable

__all__ = ["Distributable", "Prepared"]

R = TypeVar("R")

DAY = 86400.0  # Seconds.
MOMENT = 0.001  # Seconds; the shortest time that Redis can measure.
LONGEST_TO_LIVE = 10 * 365 * DAY  # A caller who gives more has most likely used another unit.

# One for all calls without keyword arguments, as there may be a million of them.
_NO_KWARGS: Mapping[str, Any] = MappingProxyType({})


class Prepared(NamedTuple):
    """The parts that all calls of one function share: its name, its options and its pickle."""

    name: str
    options: CallOptions
    portable: PortableFunction
    given: frozenset[str]

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        options: CallOptions,
        modules: frozenset[str] = frozenset(),
    ) -> "Prepared":
        """Prepare a function that has not been pickled yet.

        Args:
            function: The function.
            options: The options of its calls.
            modules: Names of the user's own modules that travel with it, whether it refers to them
                or not.
        """
        name = function_name(function)
        given = frozenset(options.given()) - {"backend"}
        portable = PortableFunction(function, name, options.retry_on, options.setup, modules)
        return cls(name, options, portable, given)

    def engine(self, backend: Choice) -> ExecutionBackend:
        """Return the engine that runs the calls, after a check that it supports their options.

        Args:
            backend: The backend that the call names; None if it names none.

        Raises:
            BackendError: There is no such backend.
            OptionError: The engine does not support an option that was set.
        """
        engine = resolve(backend, self.options.backend)
        if self.given:
            check_honoured(engine, self.options, self.given)
        return engine

    def submittable(self, task: Task, engine: ExecutionBackend) -> "Submittable":
        """Return a task of the function as `graph` submits it."""
        # Imported late here and below, as most calls need no others.
        from distribute_challenge.graph.submission import Submittable

        return Submittable(task, engine, self.portable)


#: Of the warning of a call that never ran.
NEVER_RUN = (
    "a call of {name} was made and never run: write {name}(...).compute(), or .submit() to go on "
    "meanwhile"
)


class Distributable(ToRun, Generic[R]):
    """One call of one function, with its arguments, which has not run yet.

    Args:
        func: The function to call.
        args: Positional arguments.
        kwargs: Keyword arguments.
        prepared: What the decorator has prepared for the function; made here if it is not given.

    Examples:
        >>> call = Distributable(pow, (2, 10))
        >>> call
        <Distributable pow(2, 10)>
        >>> call.compute()
        1024
    """

    __slots__ = ("__weakref__", "args", "func", "kwargs", "prepared")
    __stands_for_value__ = True

    def __init__(
        self,
        func: Callable[..., R],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        prepared: Prepared | None = None,
    ) -> None:
        self.at_deletion = HAS_RUN
        self.func = func
        self.args = tuple(args)
        self.kwargs: Mapping[str, Any] = dict(kwargs) if kwargs else _NO_KWARGS
        self.prepared = prepared or Prepared.of(func, CallOptions())

    def compute(self, backend: Choice = None, timeout: float | None = None) -> R:
        """Run the call and wait for its value.

        Args:
            backend: Name of a backend, or the backend itself; None: that of the decorator, or the
                default one.
            timeout: Seconds to wait; a call that has not begun by then is cancelled.

        Raises:
            OptionError: The backend does not support an option of the function.
            SerialisationError: The function or an argument cannot be pickled.
            SystemFailureError: The broker, the worker or the embedded cluster failed.
            ResultTimeoutError: There is no value within ``timeout``.
            BaseException: The exception that the function itself raised, with the worker's frames
                in its traceback.
        """
        self.at_deletion = HAS_RUN
        try:
            engine = self.prepared.engine(backend)
            task = self._task(engine)
            future: Future[R] = (
                self.submit_graph(task, engine, backend)
                if task.needs
                else recorded(task, engine.submit_now(task))
            )
            try:
                return future.result(timeout)
            except ResultTimeoutError:
                if future.done():
                    # The call itself raised it, when it waited for another call; or it has just
                    # ended.
                    raise
                name, end = self.prepared.name, "runs already and goes on, its value is dropped"
                if future.cancel():
                    end = "was cancelled"
                raise ResultTimeoutError(
                    f"no value within timeout={timeout:g} s: {name} {end}; give it more time, or "
                    f"use submit() to come back later"
                ) from None
            except KeyboardInterrupt:
                future.cancel(force=True)
                raise
        except BaseException as error:
            fold(error)
            raise

    def submit(
        self, backend: Choice = None, *, detach: bool = False, time_to_live: float = DAY
    ) -> Future[R]:
        """Start the call and return at once.

        Args:
            backend: As for `compute`.
            detach: Let the call go on when this process is gone: any process can get its result
                with `attach` and the future's ``id``.
            time_to_live: Seconds that the result of a detached call is kept, counted from its end.

        Returns:
            A `concurrent.futures.Future` of the value that can also be awaited.

        Raises:
            SerialisationError: The function or an argument cannot be pickled.
            SystemFailureError: The broker or the embedded cluster cannot be reached.
            BackendError: ``detach`` is set, and the backend ends with this process.
            OptionError: ``time_to_live`` is not a number of seconds, or the backend does not
                support an option of the function.
        """
        self.at_deletion = HAS_RUN
        try:
            engine = self.prepared.engine(backend)
            if detach:
                seconds = _checked(time_to_live)
                # Without a depot: the values in it are freed when this process ends.
                whole = self._detached_task()
                return recorded(whole, engine.submit_detached(whole, seconds))
            task = self._task(engine, within=SAME_BURST)
            if task.needs:
                return self.submit_graph(task, engine, backend)
            return recorded(task, engine.submit(task))
        except BaseException as error:
            fold(error)
            raise

    def __await__(self) -> Generator[Any, None, R]:
        try:
            return self.submit().__await__()
        except BaseException as error:
            fold(error)
            raise

    if not TYPE_CHECKING:  # pragma: no branch - a type checker finds wrong names by itself

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(
                f"{self!r} is a call that has not run, and has no {name!r}: write .compute() to "
                f"get its value"
            )

    def __reduce_ex__(self, protocol: Any) -> Any:
        if (reduced := stand_in(self)) is not None:
            self.at_deletion = HAS_RUN  # The call that needs it says what becomes of it.
            return reduced
        if is_as_they_are():
            self.at_deletion = HAS_RUN  # As above.
            options = self.prepared.options.updated(backend=None)
            return _whole, (self.func, self.args, dict(self.kwargs), options)
        raise TypeError(
            "a call that has not run is no value: pass it as an argument of the call that needs "
            "its value, or give the value, as in call.compute()"
        )

    def __repr__(self) -> str:
        return f"<Distributable {short(call_text(self.prepared.name, self.args, self.kwargs))}>"

    def _repr_html_(self) -> str:
        from distribute_challenge.core.card import card  # Few programs show a call.
        from distribute_challenge.graph.outline import outline_html

        return card("Call that has not run", [], outline_html(self))

    def prepare(self, backend: Choice) -> "Submittable":
        """Pickle the arguments, for a call that needs the value of this one (`graph`)."""
        engine = self.prepared.engine(backend)
        return self.prepared.submittable(self._task(engine, within=SAME_BURST), engine)

    def submit_graph(
        self, task: Task, engine: ExecutionBackend, backend: Choice = None
    ) -> Future[R]:
        """Submit the call with those that it needs.

        Args:
            task: The call, pickled.
            engine: The engine that runs it.
            backend: The backend that the program names; it holds for the calls that it needs, too.
        """
        from distribute_challenge.graph.submission import submitted

        return submitted(self, self.prepared.submittable(task, engine), backend)

    def _detached_task(self) -> Task:
        task = self._task(within=SAME_BURST)
        if not task.needs:
            return task
        # One call runs them all, as this process may be gone when the first of them ends.
        name, options, _, given = self.prepared
        options = options.updated(timeout=None, retries=0)  # The call inside keeps these.
        whole = Prepared(name, options, PortableFunction(run_whole, name, options.retry_on), given)
        with as_they_are():
            return Distributable(run_whole, (self,), prepared=whole)._task(within=SAME_BURST)

    def _task(self, backend: ExecutionBackend | None = None, *, within: float = 0.0) -> Task:
        self.at_deletion = HAS_RUN
        name, options, portable, _ = self.prepared
        find_depot = None if backend is None else backend.depot
        shares_files = backend is not None and backend.shares_files
        return single_task(
            portable,
            name,
            self.args,
            self.kwargs or {},  # A dictionary, as it is pickled.
            options,
            find_depot,
            within=within,
            shares_files=shares_files,
        )


def run_whole(call: Distributable[Any]) -> Any:
    """Run a call, and all that it needs, in the process that runs this one."""
    return call.compute()


def _whole(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions
) -> Distributable[Any]:
    return Distributable(func, args, kwargs, Prepared.of(func, options))


def _is_no_value(call: Distributable[Any], *_: Any) -> Any:
    raise TypeError(f"{call!r} is a call that has not run: write .compute() to get its value")


_OPERATORS = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
_CONTAINERS = "bool len iter next reversed contains getitem setitem delitem eq ne lt le gt ge"
_NUMBERS = "int float complex index round neg pos abs invert"

# Without these methods, a call that is mistaken for its value would be true, unequal to all values
# and without items, and the reason would be hard to find.
for _name in (
    *_CONTAINERS.split(),
    *_NUMBERS.split(),
    *_OPERATORS.split(),
    *(f"r{name}" for name in _OPERATORS.split()),
):
    setattr(Distributable, f"__{_name}__", _is_no_value)
Distributable.__hash__ = object.__hash__  # type: ignore[method-assign] # Calls are still keys, by their identity.


def _checked(time_to_live: float) -> float:
    is_number = isinstance(time_to_live, int | float) and not isinstance(time_to_live, bool)
    if not (is_number and MOMENT <= time_to_live <= LONGEST_TO_LIVE):
        raise OptionError(
            f"time_to_live={time_to_live!r}: expected the seconds that the result is kept, from "
            f"{MOMENT:g} to {LONGEST_TO_LIVE:g}"
        )
    return time_to_live


def __getattr__(name: str) -> Any:
    # In the first version `compute_this` was in this module. Its new module imports this one, so it
    # is only imported here when it is used.
    if name == "compute_this":
        return import_module("distribute_challenge.decorator").compute_this
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
