"""The worker's end of joblib's `Parallel`: runs a batch of its calls."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from distribute_challenge.core.interrupts import is_worker
from distribute_challenge.core.signature import function_name
from distribute_challenge.errors import BackendError, OptionError

__all__ = ["Batch", "Setup", "Surroundings", "joblib_batch"]

_lock = threading.Lock()
_done: set[str] = set()  # Keys of the setups that have run in this process.


class Batch:
    """Calls that joblib has put together; error messages show it.

    Args:
        calls: A `joblib.parallel.BatchedCalls`: to call it runs the calls, and returns their values.

    Examples:
        >>> from joblib import delayed
        >>> from joblib.parallel import BatchedCalls
        >>> Batch(BatchedCalls([delayed(abs)(number) for number in (-1, 2)], (None, 1)))
        abs ×2
    """

    __slots__ = ("calls",)

    def __init__(self, calls: Any) -> None:
        self.calls = calls

    def __len__(self) -> int:
        return len(self.calls)

    def __reduce__(self) -> tuple[Any, ...]:
        return Batch, (self.calls,)

    def __repr__(self) -> str:
        name = function_name(self.calls.items[0][0])
        return name if len(self) == 1 else f"{name} ×{len(self)}"


@dataclass(frozen=True)
class Setup:
    """A function that runs once in each process, before its first batch.

    Args:
        key: Tells setups apart.
        function: The function.
        arguments: Its positional arguments.
    """

    key: str
    function: Callable[..., object]
    arguments: tuple[Any, ...]

    def run_once(self) -> None:
        """Call the function, if it has not returned in this process before."""
        with _lock:
            if self.key not in _done:
                self.function(*self.arguments)
                _done.add(self.key)


@dataclass(frozen=True)
class Surroundings:
    """What a batch finds in the process that runs it.

    Args:
        variables: Environment variables.
        most_threads: How many threads each native thread pool may use, such as those of OpenBLAS
            and OpenMP; None: no change.
        setup: What has to have run before; None: nothing.
    """

    variables: Mapping[str, str]
    most_threads: int | None = None
    setup: Setup | None = None

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Apply them to this process for a block of code.

        Raises:
            OptionError: Threads are to be limited in the process of the client.
            BackendError: Threads are to be limited, and threadpoolctl is not installed.
        """
        with ExitStack() as stack:
            if is_worker():
                stack.enter_context(_environment(self.variables))
            if self.most_threads is not None:
                stack.enter_context(_limited_threads(self.most_threads))
            if self.setup is not None:
                self.setup.run_once()
            yield


def joblib_batch(surroundings: Surroundings, batch: Batch) -> list[Any]:
    """Run the calls of a batch, and return their values."""
    with surroundings.applied():
        values: list[Any] = batch.calls()
        return values


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _limited_threads(most: int) -> Iterator[None]:
    if not is_worker():
        raise OptionError(
            f"inner_max_num_threads={most}: the calls run in threads of this process, where a limit "
            f"would hold for the whole program; leave it out, or choose a backend with processes"
        )
    try:
        # Libraries read the variables when they are loaded, and this process may have loaded them.
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise BackendError(
            f"inner_max_num_threads={most} needs threadpoolctl, which is not installed on the "
            f"worker:\npip install threadpoolctl"
        ) from error
    with threadpool_limits(limits=most):
        yield
