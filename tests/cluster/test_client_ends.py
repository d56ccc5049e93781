"""What is left of an embedded cluster after the end of its client, and after a fork of it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cluster.embedded import SQUARE, linux_only, unmeasured
from tests.processes import alive, mentioning, run, script, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]


# --- the client's end

BUSY = """
    import os, pathlib, signal, subprocess, sys, time
    from distribute_challenge import compute_this

    @compute_this
    def work(folder):
        below = subprocess.Popen(["sleep", "1000"])
        apart = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        ready = pathlib.Path(folder, f"{os.getpid()}.pids")
        ready.with_suffix(".new").write_text(f"{os.getpid()} {below.pid} {apart.pid}")
        ready.with_suffix(".new").rename(ready)
        time.sleep(1000)

    here = pathlib.Path(__file__).parent
    futures = [work(str(here)).submit() for _ in range(2)]
    while len(list(here.glob("*.pids"))) < 2:
        time.sleep(0.01)
    print("running", flush=True)
    while not (here / "go").exists():
        time.sleep(0.01)
"""

# With the first and the last, what the supervisor does is measured.
ENDS = {
    "normal exit": ("pass", None, 0),
    "exception": ("raise ValueError('no luck')", None, 1),
    "SIGTERM": ("time.sleep(1000)", signal.SIGTERM, -signal.SIGTERM),
    "SIGINT": ("futures[0].result()", signal.SIGINT, -signal.SIGINT),
    "SIGKILL": ("futures[0].result()", signal.SIGKILL, -signal.SIGKILL),
}


@linux_only
@pytest.mark.parametrize("end", ENDS)
def test_no_process_of_the_cluster_or_its_calls_survives_the_client(
    end: str, short: Path, request: pytest.FixtureRequest
) -> None:
    """Calls run that have started processes, also in sessions of their own."""
    if end not in ("normal exit", "SIGKILL"):
        request.getfixturevalue("unmeasured")
    line, number, code = ENDS[end]
    variables = {"TMPDIR": str(short), "DISTRIBUTE_CHALLENGE_WORKERS": "2"}
    with script(BUSY + f"    {line}\n", short, **variables) as client:
        client.wait_for("running\n")
        (folder,) = short.glob("distribute_challenge-*")
        calls = [int(pid) for path in short.glob("*.pids") for pid in path.read_text().split()]
        assert len(calls) == 6
        assert len(mentioning(folder.name)) >= 3  # Supervisor, server, worker.
        assert alive(calls) == calls
        (short / "go").touch()
        if number is not None:
            client.send(number)
        assert client.wait() == code
    wait_until(lambda: not folder.exists(), "the folder's end")
    wait_until(
        lambda: alive(calls) == [] and mentioning(folder.name) == {}, "the end of all processes"
    )


@unmeasured
@linux_only
def test_a_client_killed_during_its_start_leaves_nothing(short: Path) -> None:
    """The test kills it a little later each time, until it has got its first result."""
    source = (
        SQUARE
        + "    print('begun', flush=True)\n    print(square(3).compute(), flush=True)\n    input()\n"
    )
    for wait_ms in (0, 10, 30, 100, 300):
        with script(source, short, TMPDIR=str(short)) as client:
            client.wait_for("begun\n")
            try:
                client.process.wait(wait_ms / 1000)
            except subprocess.TimeoutExpired:
                client.send(signal.SIGKILL)
            client.wait()
        wait_until(
            lambda: mentioning(short / "distribute_challenge-") == {}, "the end of all processes"
        )
        assert list(short.glob("distribute_challenge-*")) == []


@unmeasured
@linux_only
def test_a_forked_child_does_not_keep_the_cluster_alive(short: Path) -> None:
    """The child inherits the pipe whose end ends the cluster."""
    source = SQUARE + (
        """
    import time
    print(square(3).compute(), flush=True)
    if os.fork() == 0:
        print("child", os.getpid(), flush=True)
        time.sleep(1000)
    time.sleep(1000)
    """
    )
    with script(source, short, TMPDIR=str(short)) as client:
        child = int(client.wait_for("child ").rpartition("child ")[2].split()[0])
        client.send(signal.SIGKILL)
        client.wait()
        wait_until(lambda: list(short.glob("distribute_challenge-*")) == [], "the folder's end")
        assert alive([child]) == [child]
        os.kill(child, signal.SIGKILL)


# --- fork


def test_after_a_fork_the_child_makes_its_own_cluster_and_the_parent_s_goes_on(short: Path) -> None:
    source = SQUARE + (
        """
    import pathlib, sys
    where = compute_this(lambda: os.environ["DISTRIBUTE_CHALLENGE_PATHS"] and os.getppid())
    before = where().compute()
    child = os.fork()
    if child == 0:
        assert where().compute() not in (before, None)
        print("child", square(4).compute(), len(list(pathlib.Path(os.environ["TMPDIR"]).glob("distribute_challenge-*"))))
        sys.exit(7)
    print("parent", square(3).compute())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    print("parent", where().compute() == before, sum(square.map(range(100))))
    """
    )
    output = run(source, short, TMPDIR=str(short), DISTRIBUTE_CHALLENGE_WORKERS="1")
    assert sorted(output.splitlines()) == ["child 16 2", "parent 9", "parent True 328350"]
    assert list(short.glob("distribute_challenge-*")) == []


def test_a_forked_child_can_neither_end_nor_misread_its_parent_s_cluster(short: Path) -> None:
    source = """
    import os, pathlib
    from distribute_challenge.cluster import EmbeddedCluster
    from distribute_challenge.errors import ClusterStartError

    cluster, closed = EmbeddedCluster(1), EmbeddedCluster(1)
    for each in (cluster, closed):
        each.start()
        each.wait_until_reachable()
    closed.close()
    to_child, to_parent = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        cluster.check()
        cluster.wait_until_reachable()
        os.write(to_parent[1], b".")
        os.read(to_child[0], 1)
        try:
            cluster.check()
        except ClusterStartError as error:
            print("child:", error, flush=True)
        cluster.close()
        os._exit(0)
    os.read(to_parent[0], 1)
    cluster.check()
    cluster.close()
    os.write(to_child[1], b".")
    assert os.waitpid(child, 0)[1] == 0
    """
    output = run(source, short, TMPDIR=str(short))
    assert output == "child: the embedded cluster has ended with the process that started it\n"
