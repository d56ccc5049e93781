"""The supervisor as a program, with small commands in place of the server and the worker."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distribute_challenge.cluster import supervisor
from tests.processes import PATIENCE, alive, command_lines, environment, wait_until

LASTS = "echo $$ > $0; exec sleep 1000"
linux_only = pytest.mark.skipif(not supervisor.LINUX, reason="the kernel does not offer it")


class Supervised:
    """A supervisor with two shell commands; ``$0`` in them is a file to write process numbers to."""

    def __init__(
        self, folder: Path, redis: str, worker: str, patience: float, before: str = ""
    ) -> None:
        self.folder = folder / "private"
        self.pids = folder / "pids"
        self.pids.mkdir()
        commands = {
            name: ["/bin/sh", "-c", text, str(self.pids / name)] if " " in text else [text]
            for name, text in (("redis", redis), ("worker", worker))
        }
        plan = json.dumps({"folder": str(self.folder), "commands": commands, "patience": patience})
        program = (
            [
                "-c",
                (
                    f"import sys\nfrom {supervisor.__package__} import "
                    f"supervisor\n{before}\nsupervisor.main(sys.argv[1])"
                ),
            ]
            if before
            else [supervisor.__file__]
        )
        self.process = subprocess.Popen(
            [sys.executable, *program, plan],
            env=environment(DISTRIBUTE_CHALLENGE_CLUSTER_SECRET="a secret"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def pid(self, name: str) -> int:
        """Number that a command has written, as soon as it is there."""
        path = self.pids / name
        wait_until(
            lambda: path.exists() and path.read_text().endswith("\n"),
            f"the process number of {name}",
        )
        return int(path.read_text())

    def let_go(self, word: bytes = b"") -> None:
        """What the client's end looks like from here, with or without a last word."""
        assert self.process.stdin is not None
        self.process.stdin.write(word)
        self.process.stdin.close()

    def ended(self) -> dict[str, Any]:
        """Wait for its end; what it said."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert self.process.wait(PATIENCE) == 0
        return json.loads(line) if line else {}

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Any]:
    running = []

    def start(
        redis: str = LASTS, worker: str = LASTS, patience: float = 0.0, before: str = ""
    ) -> Supervised:
        running.append(Supervised(tmp_path, redis, worker, patience, before))
        return running[-1]

    yield start
    for supervised in running:
        supervised.close()


def test_when_the_client_ends_all_processes_end_and_the_folder_is_removed(supervise: Any) -> None:
    """A client that was killed says no last word."""
    supervised = supervise()
    pids = [supervised.pid("redis"), supervised.pid("worker")]
    assert stat.S_IMODE(supervised.folder.stat().st_mode) == 0o700
    assert sorted(path.name for path in supervised.folder.iterdir()) == [
        "redis.log",
        "secret",
        "worker.log",
    ]
    for name in ("secret", "worker.log"):
        assert stat.S_IMODE((supervised.folder / name).stat().st_mode) == 0o600
    assert (supervised.folder / "secret").read_text() == "a secret"
    supervised.let_go()
    assert supervised.ended() == {}
    assert alive(pids) == []
    assert not supervised.folder.exists()


def test_a_client_that_is_gone_before_anything_has_started_leaves_nothing(supervise: Any) -> None:
    supervised = supervise()
    supervised.let_go()
    assert supervised.ended() == {}
    assert not supervised.folder.exists()
    assert not [line for line in command_lines().values() if str(supervised.pids) in line]


def test_a_folder_without_room_for_the_logs_is_told_and_removed(supervise: Any) -> None:
    full = "def refuse(path):\n    raise OSError(28, 'No space left on device')\nsupervisor._new_log = refuse"
    supervised = supervise(before=full)
    assert supervised.ended() == {"unusable": "No space left on device"}
    assert not supervised.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_supervisor_ends_the_cluster(supervise: Any, number: int) -> None:
    supervised = supervise()
    pids = [supervised.pid("redis"), supervised.pid("worker")]
    os.kill(supervised.process.pid, number)
    assert supervised.ended() == {}
    assert alive(pids) == []
    assert not supervised.folder.exists()


@pytest.mark.slow
@linux_only
def test_processes_that_calls_started_end_with_the_cluster_even_in_own_sessions(
    supervise: Any,
) -> None:
    detached = f'{sys.executable} -c \'import os; os.fork() and os._exit(0); os.setsid(); os.execlp(*["sleep"] * 2, "1001")\''
    supervised = supervise(worker=f"sleep 1000 & echo $! > $0-child; {detached}; {LASTS}")
    pids = [supervised.pid("worker-child"), supervised.pid("worker")]

    def daemons() -> list[int]:
        return [pid for pid, line in command_lines().items() if line == "sleep 1001"]

    wait_until(daemons)
    supervised.let_go()
    supervised.ended()
    assert alive(pids) == []
    assert daemons() == []


@linux_only
def test_orphans_of_the_calls_do_not_pile_up_and_end_nothing(supervise: Any) -> None:
    """The supervisor becomes their parent. Their end is no death of the cluster's processes."""
    supervised = supervise(worker=f"(sleep 0.01 & echo $! > $0-orphan); {LASTS}")
    supervised.pid("worker")
    orphan = supervised.pid("worker-orphan")
    listed = ["ps", "-p", str(orphan), "-o", "stat="]
    wait_until(
        lambda: subprocess.run(listed, capture_output=True, check=False).stdout == b"",
        "the orphan's end",
    )
    assert supervised.process.poll() is None
    supervised.let_go()
    assert supervised.ended() == {}


@linux_only
def test_when_the_supervisor_is_killed_the_kernel_kills_its_children(supervise: Any) -> None:
    supervised = supervise()
    pids = [supervised.pid("redis"), supervised.pid("worker")]
    supervised.process.kill()
    wait_until(lambda: alive(pids) == [], "the end of redis and worker")


@pytest.mark.parametrize("name", ["redis", "worker"])
def test_a_death_is_reported_with_exit_code_and_last_lines_and_ends_the_cluster(
    supervise: Any, name: str
) -> None:
    other = "worker" if name == "redis" else "redis"
    dies = "read _ < $0-go; i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; echo over >&2; exit 3"
    supervised = supervise(**{name: f"mkfifo $0-go; echo $$ > $0; {dies}"})
    pids = [supervised.pid("redis"), supervised.pid("worker")]
    (supervised.pids / f"{name}-go").write_text("\n")
    report = supervised.ended()
    assert report == {
        "process": name,
        "exit_code": 3,
        "log": [*(f"line {n}" for n in range(11, 30)), "over"],
    }
    assert alive(pids) == [], other
    assert not supervised.folder.exists()


def test_the_reported_exit_code_of_a_killed_process_is_the_negative_signal_number(
    supervise: Any,
) -> None:
    supervised = supervise()
    supervised.pid("redis")
    os.kill(supervised.pid("worker"), signal.SIGKILL)
    assert supervised.ended()["exit_code"] == -9


def test_a_program_that_cannot_be_started_says_why(supervise: Any) -> None:
    report = supervise(redis="/no/such/redis-server").ended()
    assert (report["process"], report["exit_code"]) == ("redis", 127)
    assert report["log"] == ["/no/such/redis-server: [Errno 2] No such file or directory"]


def test_a_death_is_not_reported_if_the_client_has_ended(supervise: Any) -> None:
    supervised = supervise()
    pids = [supervised.pid("redis"), supervised.pid("worker")]
    supervised.process.stdout.close()
    os.kill(pids[0], signal.SIGKILL)
    assert supervised.process.wait(PATIENCE) == 0
    assert alive(pids) == []
    assert not supervised.folder.exists()


WARM = (
    "trap 'sleep 0.1; echo done > $0-warm; exit 0' TERM; echo $$ > $0; while :; do sleep 0.05; done"
)
STUBBORN = "trap '' TERM; echo $$ > $0; while :; do sleep 0.05; done"


@pytest.mark.parametrize(
    ("word", "patience", "worker", "warm"),
    [
        (b"stop", 20.0, WARM, True),
        (b"stop", 0.0, WARM, False),
        (b"", 20.0, WARM, False),
        (b"stop", 0.05, STUBBORN, False),
    ],
    ids=["with patience", "without patience", "without a last word", "until patience ends"],
)
def test_the_worker_shuts_down_warm_only_if_the_client_has_patience(
    supervise: Any, word: bytes, patience: float, worker: str, warm: bool
) -> None:
    supervised = supervise(worker=worker, patience=patience)
    pids = [supervised.pid("redis"), supervised.pid("worker")]
    supervised.let_go(word)
    assert supervised.ended() == {}
    assert (supervised.pids / "worker-warm").exists() == warm
    assert alive(pids) == []


def test_a_child_that_finds_its_supervisor_gone_starts_nothing(
    supervise: Any, tmp_path: Path
) -> None:
    """Killed between fork and the request to be killed along: the kernel does not make up for it."""
    supervised = supervise(before="import os; os.getppid = lambda: 1")
    report = supervised.ended()
    assert report["exit_code"] == 127
    assert list(supervised.pids.iterdir()) == []


def test_a_folder_that_is_there_already_is_not_entered(supervise: Any, tmp_path: Path) -> None:
    """It may belong to another process."""
    (tmp_path / "private").mkdir()
    supervised = supervise()
    assert supervised.ended() == {"unusable": "File exists"}
    assert (tmp_path / "private").exists()


def test_a_process_that_cannot_be_killed_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "KILL_DEADLINE", 0.01)
    missing = 2**22 + 1  # Above the kernel's highest number.
    supervisor._kill_all(lambda: [missing])


def test_becoming_a_reaper_does_nothing_on_other_systems_than_linux(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "LINUX", False)
    supervisor._become_reaper()()


def test_on_other_systems_than_linux_the_process_group_ends_together(supervise: Any) -> None:
    supervised = supervise(
        worker=f"sleep 1000 & echo $! > $0-child; {LASTS}", before="supervisor.LINUX = False"
    )
    pids = [supervised.pid("redis"), supervised.pid("worker"), supervised.pid("worker-child")]
    supervised.let_go()
    assert supervised.process.wait(PATIENCE) == -signal.SIGKILL
    wait_until(lambda: alive(pids) == [], "the end of the group")
    assert not supervised.folder.exists()
