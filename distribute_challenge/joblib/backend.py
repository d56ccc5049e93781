"""`DistributeChallengeBackend`: what joblib asks of a backend, on any engine of this library."""

import os
from collections.abc import Callable
from copy import copy
from traceback import format_exception
from typing import Any, Self
from uuid import uuid4

from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.setup import Setup
from distribute_challenge.errors import DistributeChallengeError, OptionError
from distribute_challenge.execution_backends.registry import Choice, resolve
from distribute_challenge.joblib.batch import Batch, Initializer, Surroundings
from distribute_challenge.joblib.jobs import Job, Jobs

try:
    from joblib.parallel import (
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
        register_parallel_backend,
    )
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "distribute_challenge.joblib needs joblib, which is not installed:\n"
        "pip install 'distribute_challenge[joblib]'",
        name=error.name,
    ) from error

__all__ = ["DistributeChallengeBackend", "RemoteTraceback"]

NAME = "distribute_challenge"

# What `Parallel` itself gives to every backend. It is for backends that start processes and give
# them memory-mapped files; joblib documents that others ignore it.
_FOR_OTHERS = frozenset({"context", "max_nbytes", "mmap_mode", "temp_folder", "verbose"})

# The descriptor itself: a class may refuse changes of its exceptions, as a frozen dataclass does.
_CAUSE: Any = vars(BaseException)["__cause__"]


class RemoteTraceback(Exception):  # noqa: N818 - no error: the cause of one, for people to read
    """The worker's traceback of an exception, as text, since joblib drops the traceback itself."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


class DistributeChallengeBackend(ParallelBackendBase):  # type: ignore[misc] # joblib has no types
    """Runs the calls of `joblib.Parallel` on a cluster.

    `parallel_config` makes one of the name and the keyword arguments that it is given.

    Args:
        nesting_level: Given by joblib.
        inner_max_num_threads: How many threads native libraries such as OpenBLAS may use in a
            worker process; None: as many as the worker allows.
        execution_backend: Name of a backend of this library, or the backend itself; None: the
            default one.
        initializer: Called once in each worker process, before its first batch; None: nothing. If it
            raises, the batch fails with `SetupError`.
        initargs: Positional arguments of ``initializer``.
        options: The options of `compute_this`. They hold for each batch of calls.

    Raises:
        OptionError: An option does not exist, or has a value that it cannot have.

    Guarantees:

    - Each `Parallel` has an instance of its own, so that one that is aborted ends no calls of
      another. The instance that is configured stays as it is, and makes them.

    Examples:
        >>> from joblib import Parallel, delayed, parallel_config
        >>> with parallel_config(DistributeChallengeBackend(execution_backend="threads"), n_jobs=2):
        ...     Parallel()(delayed(abs)(number) for number in [-1, -2])
        [1, 2]
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    default_n_jobs = -1

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        *,
        execution_backend: Choice = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        super().__init__(nesting_level, inner_max_num_threads)
        self.parallel: Any = None
        self._options = CallOptions()
        self._initializer: Setup | None = None
        self._jobs: Jobs | None = None
        self._update(execution_backend, initializer, initargs, **options)

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many jobs can run at the same time.

        Args:
            n_jobs: How many the program asks for; -1, or None, means all slots of the cluster, -2
                all but one.
        """
        asked = self._asked(n_jobs)
        # joblib runs a single job in this process, without its backend. It does so if the program
        # asks for one, but not because the cluster has one slot.
        if asked == 1 or not (slots := self._slots()):
            return 1
        return max(_most(asked, slots), 2)

    def configure(
        self,
        n_jobs: int | None = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **given: Any,
    ) -> int:
        if self.parallel is not parallel:
            raise FallbackToBackend(self._copy_for(parallel))
        self._update(**{name: given[name] for name in given.keys() - _FOR_OTHERS})
        effective = self.effective_n_jobs(n_jobs)
        if effective == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        slots = self._slots()
        most = _most(self._asked(n_jobs), slots)
        surroundings = self._surroundings()
        options = self._with_initializer(surroundings)
        self._jobs = Jobs(surroundings, options, slots, most if most < slots else None)
        return effective

    def compute_batch_size(self) -> int:
        return self._run().batch_size()

    def submit(
        self, func: Callable[[], list[Any]], callback: Callable[[Job], object] | None = None
    ) -> Job:
        return self._run().submit(Batch(func), callback)

    def retrieve_result_callback(self, out: Job) -> list[Any]:
        assert out.future is not None
        error = out.future.exception()
        if error is None:
            self._run().record(out)
            return out.future.result()
        if not isinstance(error, DistributeChallengeError):
            _CAUSE.__set__(error, RemoteTraceback("".join(format_exception(error))))
        raise error

    def abort_everything(self, ensure_ready: bool = True) -> None:
        self._run().abort(for_good=not ensure_ready)

    def _update(
        self,
        execution_backend: Choice = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **options: Any,
    ) -> None:
        if execution_backend is not None:
            options["backend"] = execution_backend
        self._options = self._options.updated(**options)
        known = self._initializer
        if initializer is not None and not (
            known is not None and known.function is initializer and known.args is initargs
        ):
            self._initializer = Setup(initializer, tuple(initargs), uuid4().hex)

    def _with_initializer(self, surroundings: Surroundings) -> CallOptions:
        known = self._initializer
        if known is None:
            return self._options
        if self._options.setup is not None:
            raise OptionError("got setup and initializer, which are the same: give one of them")
        initializer = Initializer(known.function, surroundings)
        return self._options.updated(setup=Setup(initializer, known.args, known.key))

    def _copy_for(self, parallel: Any) -> Self:
        own = copy(self)
        own.parallel = parallel
        return own

    def _run(self) -> Jobs:
        assert self._jobs is not None  # joblib configures a backend before it uses it.
        return self._jobs

    def _asked(self, n_jobs: int | None) -> int:
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        return self.default_n_jobs if n_jobs is None else n_jobs

    def _slots(self) -> int:
        return resolve(self._options.backend).concurrency

    def _surroundings(self) -> Surroundings:
        most = self.inner_max_num_threads
        if most is None:
            # A worker on this machine may have been started before the program set them.
            is_near = resolve(self._options.backend).shares_files
            names = [name for name in self.MAX_NUM_THREADS_VARS if is_near and name in os.environ]
            return Surroundings({name: os.environ[name] for name in names})
        if not isinstance(most, int) or most < 1:
            raise OptionError(
                f"inner_max_num_threads={most!r}: expected a whole number of at least 1, or None"
            )
        return Surroundings(dict.fromkeys(self.MAX_NUM_THREADS_VARS, str(most)), most)


def _most(n_jobs: int, slots: int) -> int:
    """Return how many jobs a program wants to run at the same time at most."""
    return n_jobs if n_jobs > 0 else max(slots + 1 + n_jobs, 1)


register_parallel_backend(NAME, DistributeChallengeBackend)
