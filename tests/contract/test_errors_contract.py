"""Each engine's promises about unusual errors: of exceptions, results and unpickling."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import ExecutionBackend, compute_this
from distribute_challenge.errors import SerialisationError, WorkerLostError
from tests.contract.engines import ENGINES, PARAMETERS, TIMEOUT
from tests.contract.values import Leaving, double

PICKLING = [each for each in PARAMETERS if each != "only-run"]  # Gives the result itself.
IN_PROCESSES = [each for each in PICKLING if each not in ("local", "threads")]


@pytest.fixture(scope="module", params=PICKLING)
def backend(request: pytest.FixtureRequest) -> Iterator[ExecutionBackend]:
    with ENGINES[request.param]() as backend:
        yield backend


@pytest.fixture(scope="module", params=IN_PROCESSES)
def processes(request: pytest.FixtureRequest) -> Iterator[ExecutionBackend]:
    with ENGINES[request.param]() as backend:
        yield backend


@dataclass(frozen=True)
class NotInStockError(Exception):
    item: str


@compute_this
def buy(path: Path, item: str) -> None:
    with path.open("a") as file:
        file.write("paid ")
    raise NotInStockError(item)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"timeout": 30}], ids=["plain", "with a time limit"])
def test_an_immutable_exception_reaches_the_caller_and_its_call_runs_once(
    backend: ExecutionBackend, tmp_path: Path, options: dict[str, Any]
) -> None:
    call = buy.with_options(**options)(tmp_path / "log", "pen")
    with pytest.raises(NotInStockError) as caught:
        call.compute(backend)
    assert caught.value.item == "pen"
    error = call.submit(backend).exception(TIMEOUT)
    assert isinstance(error, NotInStockError)
    assert (tmp_path / "log").read_text() == "paid paid "


@compute_this
def endless(depth: int) -> int:
    return endless.local(depth + 1)


@compute_this
def parse(depth: int) -> int:
    if depth == 0:
        raise ValueError("bad token")
    return parse.local(depth - 1)


def test_an_error_from_the_depths_is_caught_by_its_type(backend: ExecutionBackend) -> None:
    with pytest.raises(RecursionError):
        endless(0).compute(backend)
    with pytest.raises(ValueError, match="bad token"):
        parse(300).compute(backend)


class Raises:
    """Its pickling raises."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        raise self.kind("while it was pickled")


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, MemoryError])
def test_any_exception_while_a_result_is_pickled_fails_only_its_call(
    backend: ExecutionBackend, tmp_path: Path, kind: type[BaseException]
) -> None:
    log = tmp_path / "log"

    @compute_this
    def make(fails: bool) -> Any:
        with log.open("a") as file:
            file.write("ran ")
        return {"job": Raises(kind)} if fails else "fine"

    with pytest.raises(
        SerialisationError, match=r"the result of .*make cannot be pickled"
    ) as caught:
        make(True).compute(backend)
    assert "while it was pickled" in str(caught.value)
    assert make(False).compute(backend) == "fine"
    assert log.read_text() == "ran ran "


@pytest.mark.slow
def test_a_keyboard_interrupt_while_a_worker_pickles_a_result_fails_only_its_call(
    processes: ExecutionBackend,
) -> None:
    """The worker goes on."""

    @compute_this
    def make() -> tuple[int, Any]:
        return os.getpid(), Raises(KeyboardInterrupt)

    with pytest.raises(SerialisationError, match="KeyboardInterrupt: while it was pickled"):
        make().compute(processes)


class ExitsWhenLoaded:
    def __init__(self, kind: type[BaseException]) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        return _exit, (self.kind,)


def _exit(kind: type[BaseException]) -> None:
    raise kind("while it was unpickled")


@pytest.mark.parametrize("wait", [True, False], ids=["compute", "submit"])
@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit])
def test_any_exception_while_a_result_is_unpickled_fails_only_its_call(
    backend: ExecutionBackend, kind: type[BaseException], wait: bool
) -> None:
    """The client's thread goes on, and the client too."""
    call = compute_this(lambda: ExitsWhenLoaded(kind))()
    with pytest.raises(
        SerialisationError, match=rf"cannot be unpickled .*{kind.__name__}: while it was unpickled"
    ):
        call.compute(backend) if wait else call.submit(backend).result(TIMEOUT)
    assert compute_this(lambda: 1)().submit(backend).result(TIMEOUT) == 1


def test_a_keyboard_interrupt_while_a_result_is_unpickled_ends_no_thread(
    processes: ExecutionBackend,
) -> None:
    """In a thread that is not the main one it cannot be Ctrl+C."""
    future = compute_this(lambda: ExitsWhenLoaded(KeyboardInterrupt))().submit(processes)
    with ThreadPoolExecutor(1) as thread:
        error = thread.submit(future.exception, TIMEOUT).result()
    assert isinstance(error, SerialisationError)
    assert compute_this(lambda: 1)().submit(processes).result(TIMEOUT) == 1


@compute_this
def nested(depth: int) -> Any:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_result_that_is_nested_too_deeply_is_a_clear_error(backend: ExecutionBackend) -> None:
    outcome = nested(100_000).submit(backend).exception(TIMEOUT)
    assert isinstance(outcome, SerialisationError)
    assert (
        "the result of nested (a list): Could not pickle object as excessively deep recursion"
        in str(outcome)
    )


@pytest.mark.skipif(sys.platform != "linux", reason="limits its memory")
def test_a_result_that_memory_does_not_suffice_to_pickle_fails_its_call(
    processes: ExecutionBackend,
) -> None:
    class Limit:
        """Takes effect while the result is pickled: what a call itself limits is put back before."""

        def __reduce__(self) -> Any:
            import mmap
            import resource

            with open("/proc/self/statm") as file:
                size = int(file.read().split()[0]) * mmap.PAGESIZE
            resource.setrlimit(resource.RLIMIT_AS, (size + 150_000_000, resource.RLIM_INFINITY))
            return int, ()

    @compute_this
    def make() -> Any:
        return [Limit(), bytes(300_000_000), object()]

    @compute_this
    def restore() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    with pytest.raises((SerialisationError, MemoryError)):
        make().compute(processes)
    for _ in range(8):
        restore().compute(processes)


class KillsWhoLoadsIt:
    def __init__(self, end: Callable[[], None]) -> None:
        self.end = end

    def __reduce__(self) -> Any:
        return self.end, ()


def _killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _exits() -> None:
    sys.exit(3)


@pytest.mark.slow
def test_an_argument_that_kills_its_process_when_unpickled_leaves_the_client_alive(
    processes: ExecutionBackend,
) -> None:
    """The call is described from the bytes."""
    call = compute_this(lambda number, argument: number)(7, KillsWhoLoadsIt(_killed))
    error = call.submit(processes).exception(TIMEOUT)
    assert isinstance(error, WorkerLostError)
    assert compute_this(lambda: 1)().submit(processes).result(TIMEOUT) == 1
    error = (
        compute_this(lambda argument: 1)(KillsWhoLoadsIt(_exits))
        .submit(processes)
        .exception(TIMEOUT)
    )
    assert "SystemExit" in str(error)


def test_a_result_that_cannot_be_pickled_is_named_and_fails_alone(
    engine: tuple[str, ExecutionBackend],
) -> None:
    name, backend = engine
    if name == "only-run":
        pytest.skip("what its run returns is its own business")

    def make(x: int) -> Any:
        return {"lock": threading.Lock()} if x == 1 else x

    with pytest.raises(SerialisationError, match=r"the result of make\['lock'\] \(a lock\)"):
        compute_this(make)(1).compute(backend)
    results = list(
        compute_this(make).map(range(3), on_error="return", batch_size=3, backend=backend)
    )
    assert results[::2] == [0, 2]
    assert isinstance(results[1], SerialisationError)


@pytest.mark.parametrize(
    ("raised", "comes"), [(SystemExit, SerialisationError), (ValueError, ValueError)]
)
def test_a_result_that_ends_the_program_as_it_is_unpickled_fails_its_call(
    raised: type[BaseException], comes: type[BaseException], engine: tuple[str, ExecutionBackend]
) -> None:
    """It ends no thread that other calls need."""
    name, backend = engine
    if name == "only-run":
        pytest.skip("its results are not pickled")
    leave = compute_this(Leaving)
    with pytest.raises(comes, match="as it is unpickled"):
        leave(os.getpid(), raised).submit(backend).result(TIMEOUT)
    with pytest.raises(comes, match="as it is unpickled"):
        leave(os.getpid(), raised).compute(backend, timeout=TIMEOUT)
    assert double(2).submit(backend).result(TIMEOUT) == 4
