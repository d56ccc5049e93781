"""How much memory there is, by files as the kernel writes them, and by the kernel of this machine."""

import os
import resource
from pathlib import Path

import pytest

from distribute_challenge.execution_backends.celery.worker.memory import (
    Limits,
    peak_of_the_dead,
    peak_of_this_process,
    resident,
)

MB = 1 << 20


def write(root: Path, files: dict[str, str]) -> Limits:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Limits(root)


def test_resident_memory_and_peak_of_this_process_are_plausible() -> None:
    held = resident()
    assert held is not None
    # The kernel counts the two apart, and not to the page.
    assert MB < held < peak_of_this_process() + MB
    assert resident(os.getpid()) is not None
    assert peak_of_the_dead() >= 0


@pytest.mark.slow
def test_the_memory_of_an_ended_process_is_unknown() -> None:
    """So is that of a process that ended and was not waited for."""
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert resident(pid) is None
    os.waitpid(pid, 0)
    assert resident(pid) is None


def test_the_narrowest_limit_of_a_group_and_those_above_it_counts(tmp_path: Path) -> None:
    limits = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/memory.max": f"{100 * MB}\n",
            "sys/fs/cgroup/a/memory.current": f"{70 * MB}\n",
            "sys/fs/cgroup/a/memory.events": "low 0\noom 5\noom_kill 2\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.current": f"{10 * MB}\n",
        },
    )
    assert limits.bytes() == 100 * MB
    assert limits.room() == 30 * MB
    assert limits.kills() == 2


def test_limits_of_control_groups_of_version_1_are_read(tmp_path: Path) -> None:
    """They are in a container whose path is the host's."""
    limits = write(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu:/docker/x\n4:memory:/docker/x\n0::/docker/x\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{50 * MB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{20 * MB}\n",
            "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n",
        },
    )
    assert limits.bytes() == 50 * MB
    assert limits.room() == 30 * MB
    assert limits.kills() == 7


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    limits = write(tmp_path, {"proc/vmstat": "nr_free_pages 1\noom_kill 3\n"})
    assert limits.bytes() is None
    assert limits.room() is None
    assert limits.kills() == 3


def test_without_any_files_of_the_kernel_there_is_no_limit(tmp_path: Path) -> None:
    """Nothing is known on other systems."""
    limits = Limits(tmp_path)
    assert limits.bytes() is None
    assert limits.room() is None
    assert limits.kills() == 0


def test_a_number_beyond_the_machines_memory_is_no_limit(tmp_path: Path) -> None:
    files = {
        "proc/self/cgroup": "4:memory:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
    }
    assert write(tmp_path, files).bytes() is None


def test_ulimit_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200 * MB, resource.RLIM_INFINITY))
    assert Limits(tmp_path).bytes() == 200 * MB
