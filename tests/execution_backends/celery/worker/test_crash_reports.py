"""Reports of dead processes: with made-up limits, and of processes of a real worker."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.core.messages import Problem, Reply
from distribute_challenge.errors import WorkerLostError
from distribute_challenge.execution_backends.celery.client.recovery import Recovery
from distribute_challenge.execution_backends.celery.worker import crash_reports
from distribute_challenge.execution_backends.celery.worker.crash_reports import (
    CrashReporter,
    crash_reporter,
)
from distribute_challenge.execution_backends.celery.worker.memory import Limits
from tests.execution_backends.celery.conftest import DEADLINE

MB = 1 << 20


class Scene:
    """A reporter, and the files that limits are read from."""

    def __init__(self, folder: Path) -> None:
        self.group = folder / "sys/fs/cgroup"
        self.group.mkdir(parents=True)
        (folder / "proc/self").mkdir(parents=True)
        (folder / "proc/self/cgroup").write_text("0::/\n")
        self.write(kills=0)
        self.reporter = CrashReporter(folder, Limits(folder))

    def write(self, *, kills: int = 0, limit: str = "max", now: int = 0) -> None:
        (self.group / "memory.events").write_text(f"oom_kill {kills}\n")
        (self.group / "memory.max").write_text(limit)
        (self.group / "memory.current").write_text(str(now))


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.reporter.close()


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_kill_counted_by_the_kernel_means_out_of_memory(scene: Scene, process: Any) -> None:
    """The kernel counts the processes that it kills."""
    scene.reporter.look([process.pid])
    scene.write(kills=1)
    scene.reporter.died(process.pid, -signal.SIGKILL)
    facts = scene.reporter.facts(process.pid)
    assert facts["signal"] == "SIGKILL"
    assert facts["out_of_memory"] is True
    assert facts["memory"] > 0
    assert "limit" not in facts


def test_a_kill_counted_before_the_process_died_is_not_attributed_to_it(
    scene: Scene, process: Any
) -> None:
    scene.write(kills=1)
    scene.reporter.look([process.pid])
    scene.reporter.died(process.pid, -signal.SIGKILL)
    assert scene.reporter.facts(process.pid)["out_of_memory"] is False


def test_a_process_with_memory_near_its_limit_was_out_of_memory(scene: Scene, process: Any) -> None:
    """That of the process,"""
    scene.write(limit="1000")
    scene.reporter.look([process.pid])
    scene.reporter.died(process.pid, -signal.SIGSEGV)
    facts = scene.reporter.facts(process.pid)
    assert facts["limit"] == 1000
    assert facts["out_of_memory"] is True


@pytest.mark.parametrize(("now", "verdict"), [(1000 * MB, True), (500 * MB, False)])
def test_a_process_killed_while_all_memory_was_near_the_limit_was_out_of_memory(
    scene: Scene, process: Any, now: int, verdict: bool
) -> None:
    scene.write(limit=str(1024 * MB), now=now)
    scene.reporter.look([process.pid])
    scene.reporter.died(process.pid, -signal.SIGKILL)
    assert scene.reporter.facts(process.pid)["out_of_memory"] is verdict


def test_a_process_that_exited_was_not_out_of_memory_without_a_memory_error(
    scene: Scene, process: Any
) -> None:
    """A `MemoryError` of its own would say otherwise."""
    scene.write(limit="1000")
    scene.reporter.look([process.pid])
    scene.reporter.died(process.pid, 3)
    facts = scene.reporter.facts(process.pid)
    assert facts["exit_code"] == 3
    assert facts["out_of_memory"] is False
    assert scene.reporter.facts(process.pid, want_of_memory=True)["out_of_memory"] is True


def test_peak_memory_between_two_looks_is_taken_from_the_kernel(
    scene: Scene, process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells it if no other child has ever held as much."""
    scene.reporter.look([process.pid])
    monkeypatch.setattr(crash_reports, "peak_of_the_dead", lambda: 1 << 50)
    assert scene.reporter.facts(process.pid)["memory"] == 1 << 50


def test_for_an_unknown_process_only_the_host_is_reported(scene: Scene) -> None:
    assert list(scene.reporter.facts(None)) == ["host"]
    assert set(scene.reporter.facts(1)) == {"host", "pid", "out_of_memory"}


def test_facts_about_a_dead_process_are_forgotten_at_the_second_look(
    scene: Scene, process: Any
) -> None:
    """The worker removes their records, too."""
    record = scene.reporter._records.folder / f"{process.pid}.crash"
    record.touch()
    scene.reporter.look([process.pid])
    scene.reporter.died(process.pid, 1)
    scene.reporter.look([])
    assert "exit_code" in scene.reporter.facts(process.pid)
    scene.reporter.look([])
    assert set(scene.reporter.facts(process.pid)) == {"host", "pid", "out_of_memory"}
    assert not record.exists()


def test_a_worker_has_one_crash_reporter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crash_reports, "_reporter", None)
    reporter = crash_reporter(tmp_path)
    assert crash_reporter() is reporter
    reporter.close()


@pytest.fixture
def problems(monkeypatch: pytest.MonkeyPatch) -> list[Problem]:
    """What the client hears of."""
    heard: list[Problem] = []
    solve = Recovery.solve

    def listen(self: Recovery, batch: Any, reply: Reply) -> None:
        assert reply.problem is not None
        heard.append(reply.problem)
        solve(self, batch, reply)

    monkeypatch.setattr(Recovery, "solve", listen)
    return heard


@pytest.mark.slow
@pytest.mark.celery
@pytest.mark.parametrize(
    ("how", "end"),
    [("crash", {"signal": "SIGSEGV"}), ("kill", {"signal": "SIGKILL"}), ("exit", {"exit_code": 4})],
)
def test_the_facts_about_a_dead_process_have_its_end_and_last_lines(
    cluster: LocalCluster, problems: list[Problem], how: str, end: dict[str, Any]
) -> None:
    @compute_this
    def die(how: str) -> None:
        import ctypes

        print("last words", how)
        if how == "crash":
            ctypes.string_at(0)
        elif how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(4)

    with pytest.raises(WorkerLostError):
        die(how).compute(cluster.backend, timeout=DEADLINE)
    facts = problems[-1].facts
    assert end.items() <= facts.items()
    assert facts["host"]
    assert facts["pid"] != os.getpid()
    assert facts["memory"] > MB
    assert facts["out_of_memory"] is False
    assert f"[die] last words {how}" in facts["log"][-1]
    assert ("in die" in facts.get("crash", "")) == (how == "crash")
