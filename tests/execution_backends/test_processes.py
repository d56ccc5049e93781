"""A pool of processes, and what it does when one dies."""

import os
import signal
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distribute_challenge import compute_this
from distribute_challenge.errors import (
    CallCancelledError,
    ClusterStartError,
    SerialisationError,
    WorkerLostError,
)
from distribute_challenge.execution import function_cache, process_state
from distribute_challenge.execution_backends import tried_call
from distribute_challenge.execution_backends.pools import ProcessesExecutionBackend, process
from tests.calls import leave, process_id, wait_for
from tests.processes import alive, run, script, wait_until

pytestmark = pytest.mark.slow
unmeasured = pytest.mark.usefixtures("unmeasured")  # What is killed saves nothing.

TIMEOUT = 60  # Seconds after which a test would rather fail than wait.


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessesExecutionBackend]:
    with ProcessesExecutionBackend(2) as backend:
        yield backend


def test_there_is_one_process_for_each_core_unless_told(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """Made when first used."""
    clean_environment.setenv("DISTRIBUTE_CHALLENGE_WORKERS", "3")
    assert ProcessesExecutionBackend().concurrency == 3
    assert ProcessesExecutionBackend(5).concurrency == 5


def test_calls_run_in_other_processes(pool: ProcessesExecutionBackend) -> None:
    """They are processes of this machine, and the timeline names them."""
    future = process_id().submit(pool)
    assert future.result(60) != os.getpid()
    assert future.timeline is not None
    assert future.timeline.worker.startswith("processes@")
    assert future.timeline.created <= future.timeline.sent <= future.timeline.received


def test_only_the_calls_that_kill_their_process_fail(
    pool: ProcessesExecutionBackend,
) -> None:
    """97 values, 3 errors, and a pool that goes on."""
    futures = [leave(number).submit(pool) for number in range(100)]
    errors = {number for number, future in enumerate(futures) if future.exception(60) is not None}
    assert errors == {7, 40, 73}
    for number, future in enumerate(futures):
        if number in errors:
            with pytest.raises(
                WorkerLostError, match=r"its process died \(exit code 3\)\. That happened 3 times"
            ):
                future.result()
        else:
            assert future.result() == number
    assert leave(1).compute(pool) == 1


def test_a_map_loses_only_the_calls_that_kill_their_process(
    pool: ProcessesExecutionBackend,
) -> None:
    """Calls that travelled with them are not lost."""
    results = list(leave.map(range(20), on_error="return", backend=pool))
    assert [
        number for number, result in enumerate(results) if isinstance(result, WorkerLostError)
    ] == [7]
    assert [result for result in results if isinstance(result, int)] == [
        n for n in range(20) if n != 7
    ]


def test_a_call_whose_process_is_killed_once_runs_again(
    pool: ProcessesExecutionBackend, tmp_path: Path
) -> None:
    """The second process does it."""

    def die_once(path: str) -> str:
        if not os.path.exists(path):
            Path(path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return "survived"

    assert compute_this(die_once)(str(tmp_path / "died")).compute(pool) == "survived"


def test_a_function_is_sent_to_a_process_that_has_not_seen_it(
    pool: ProcessesExecutionBackend,
) -> None:
    """Every process answers, whichever got the function first."""
    assert len({process_id(n).compute(pool) for n in range(50)}) <= 2
    assert [*compute_this(lambda x: -x).map(range(100), batch_size=1, backend=pool)] == [
        -n for n in range(100)
    ]


def test_a_call_that_runs_when_the_pool_is_closed_is_cancelled(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """Its process is gone."""

    def wait(path: str) -> None:
        import time

        Path(path).write_text(str(os.getpid()))
        time.sleep(60)

    path = tmp_path / "id"
    pool = ProcessesExecutionBackend(1)
    future = compute_this(wait)(str(path)).submit(pool)
    eventually(lambda: path.exists() and bool(path.read_text()))
    pool.close()
    with pytest.raises(CallCancelledError):
        future.result(60)
    eventually(lambda: not alive([int(path.read_text())]))


def test_a_call_that_is_handed_over_and_not_begun_does_not_begin(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """The pool has more calls than processes, so that these do not wait for the next."""
    with ProcessesExecutionBackend(1) as backend:
        door = str(tmp_path / "door")
        first = wait_for(door).submit(backend)
        eventually(Path(door + ".begun").exists)
        second = wait_for(str(tmp_path / "second")).submit(backend)
        assert second.cancel(force=True)
        Path(door).touch()
        assert first.result(TIMEOUT) == "done"
        assert compute_this(len)("abc").compute(backend) == 3
        assert not Path(str(tmp_path / "second.begun")).exists()


def test_an_outcome_that_cannot_be_taken_in_fails_its_call(
    pool: ProcessesExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code of the user's may run then, in the thread that serves the whole pool."""

    def end(*_: object) -> None:
        raise SystemExit(3)

    with monkeypatch.context() as context:
        context.setattr(tried_call, "settle", end)
        with pytest.raises(SerialisationError, match="its outcome cannot be unpickled") as caught:
            process_id().submit(pool).result(TIMEOUT)
    assert isinstance(caught.value.__cause__, SystemExit)
    assert process_id().submit(pool).result(TIMEOUT) > 0


# --- calls that are lost


def test_a_death_costs_the_one_call_that_the_process_was_running(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """Its neighbours run on; a crash in C is in the error with the line of Python."""

    def crash() -> None:
        import ctypes

        ctypes.string_at(0)

    with ProcessesExecutionBackend(2) as backend:
        door = str(tmp_path / "door")
        neighbour = compute_this(wait_for.__wrapped__, at_most_once=True)(door).submit(backend)
        eventually(Path(door + ".begun").exists)
        error = compute_this(crash)().submit(backend).exception(TIMEOUT)
        Path(door).touch()
        assert neighbour.result(TIMEOUT) == "done"
    assert isinstance(error, WorkerLostError)
    assert "signal SIGSEGV" in str(error)
    assert "Where it crashed:\n  Fatal Python error: Segmentation fault" in str(error)
    assert "in crash" in error.attempts[-1].facts["crash"]


def test_a_process_that_dies_while_it_has_nothing_to_do_costs_no_call(
    pool: ProcessesExecutionBackend,
) -> None:
    """It does not cost a call that may run only once, either."""
    once = process_id.with_options(at_most_once=True)
    pids = {once(number).compute(pool) for number in range(20)}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert not {once(number).compute(pool, timeout=TIMEOUT) for number in range(20)} & pids


def test_a_call_is_given_to_a_new_process_if_the_old_one_died_before_taking_it(
    pool: ProcessesExecutionBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool has not yet seen that it died."""
    once = process_id.with_options(at_most_once=True)
    monkeypatch.setattr(process.WorkerProcess, "has_ended", lambda self: False)
    for pid in {once(number).compute(pool) for number in range(20)}:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: not alive([pid]))  # type: ignore[misc]
    assert once().compute(pool, timeout=TIMEOUT) > 0


def test_a_process_that_is_told_to_end_and_waits_for_a_thread_gets_no_call() -> None:
    """The thread is one that a call has left behind."""

    def leave_thread() -> int:
        threading.Thread(target=threading.Event().wait).start()
        return os.getpid()

    with ProcessesExecutionBackend(1) as backend:
        pid = compute_this(leave_thread)().compute(backend)
        os.kill(pid, signal.SIGTERM)
        assert process_id().compute(backend, timeout=TIMEOUT) != pid


@unmeasured
def test_a_process_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error comes at once, as the next process would not start either."""
    monkeypatch.setattr(process, "BOOTSTRAP", "raise SystemExit(5)")
    with (
        ProcessesExecutionBackend(1) as backend,
        pytest.raises(ClusterStartError, match=r"did not start: .*code 5"),
    ):
        process_id().compute(backend, timeout=TIMEOUT)


@unmeasured
def test_a_call_whose_processes_are_killed_before_it_has_begun_fails_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has used up none of its attempts, and its error says so."""
    monkeypatch.setattr(
        process, "BOOTSTRAP", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    with ProcessesExecutionBackend(1) as backend:
        error = process_id.with_options(at_most_once=True)().submit(backend).exception(TIMEOUT)
    assert isinstance(error, WorkerLostError)
    assert "signal SIGKILL). That happened 3 times before the call had begun" in str(error)


def test_a_function_that_a_process_has_forgotten_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It keeps so many, and the pool does not count them."""
    with ProcessesExecutionBackend(1) as backend:
        forget = compute_this(lambda: setattr(function_cache, "_KEPT_FUNCTIONS", 1))
        forget().compute(backend)
        functions = [compute_this(lambda x, n=n: x + n) for n in range(3)]  # type: ignore[misc]
        for _ in range(2):
            assert [function(1).compute(backend, timeout=TIMEOUT) for function in functions] == [
                1,
                2,
                3,
            ]


def test_a_process_that_cannot_be_put_right_is_replaced(pool: ProcessesExecutionBackend) -> None:
    def spoil() -> int:
        process_state._spoilt = True
        return os.getpid()

    spoilt = compute_this(spoil)().compute(pool)
    assert spoilt not in {process_id(number).compute(pool) for number in range(20)}
    wait_until(lambda: not alive([spoilt]))


# --- the end


USER = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from distribute_challenge import compute_this

    @compute_this
    def run(folder, in_c):
        child = subprocess.Popen(["sleep", "300"])
        for pid in (os.getpid(), child.pid):
            Path(folder, str(pid)).touch()
        sum(range(10**12)) if in_c else time.sleep(300)

    @compute_this
    def nap(seconds):
        time.sleep(seconds)

    futures = [run(sys.argv[1], in_c).submit() for in_c in (True, False)] + [nap(0.01).submit() for _ in range(5)]
    while len(os.listdir(sys.argv[1])) < 4:
        time.sleep(0.01)
"""


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_calls_in_c_and_programs_of_calls_end_with_their_script(
    end: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if end:
        request.getfixturevalue("unmeasured")
    (tmp_path / "pids").mkdir()
    variables = {"DISTRIBUTE_CHALLENGE_BACKEND": "processes", "DISTRIBUTE_CHALLENGE_WORKERS": "2"}
    with script(
        f"{textwrap.dedent(USER)}{end}", tmp_path, str(tmp_path / "pids"), **variables
    ) as running:
        running.wait()
        assert "Traceback" not in running.output
        pids = [int(path.name) for path in (tmp_path / "pids").iterdir()]
        wait_until(lambda: not alive(pids), "the end of all processes")


def test_a_fork_of_the_client_has_a_pool_of_its_own_and_keeps_none_of_its_parent_s_processes(
    tmp_path: Path,
) -> None:
    assert run(
        """
        import os, time
        from distribute_challenge import compute_this
        from distribute_challenge.execution_backends.pools import ProcessesExecutionBackend, ThreadsExecutionBackend
        from tests.processes import alive, wait_until

        pid = compute_this(os.getpid)
        pools = ProcessesExecutionBackend(1), ThreadsExecutionBackend(1)
        first = [pid().compute(pool) for pool in pools]
        child = os.fork()
        if child == 0:
            inner = [pid().compute(pool, timeout=60) for pool in pools]
            print(inner[0] != first[0], inner[1] == os.getpid())
            for pool in pools:
                pool.close()
            os._exit(0)
        os.waitpid(child, 0)
        print([pid().compute(pool) for pool in pools] == first)
        """,
        tmp_path,
        PYTHONPATH=str(Path(__file__).parents[2]),
    ).splitlines() == ["True True", "True"]
