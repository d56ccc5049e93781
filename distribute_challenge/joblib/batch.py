"""The worker's end of joblib's `Parallel`: runs a batch of its calls."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from distribute_challenge.core.interrupts import is_worker
from distribute_challenge.core.signature import function_name
from distribute_challenge.errors import BackendError, OptionError

__all__ = ["Batch", "Initializer", "Surroundings", "joblib_batch"]


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
class Surroundings:
    """What a batch finds in the process that runs it.

    Args:
        variables: Environment variables.
        most_threads: How many threads each native thread pool may use, such as those of OpenBLAS
            and OpenMP; None: no change.
    """

    variables: Mapping[str, str]
    most_threads: int | None = None

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
            yield


@dataclass(frozen=True)
class Initializer:
    """What joblib's user has run once in each process, in the surroundings of the batches.

    Args:
        function: The function.
        surroundings: What it finds: native libraries read the variables when they are loaded.
    """

    function: Callable[..., object]
    surroundings: Surroundings

    @property
    def __name__(self) -> str:
        return function_name(self.function)

    def __call__(self, *args: Any) -> Any:
        with self.surroundings.applied():
            return self.function(*args)


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
