"""The embedded cluster when one of its processes dies."""

import os
import signal
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster, compute_this
from distribute_challenge.cluster import EmbeddedCluster
from distribute_challenge.errors import ClusterStartError
from tests.cluster.embedded import child_of, folder_of, linux_only, supervisor_of, unmeasured
from tests.processes import PATIENCE, alive, mentioning, script, wait_until

pytestmark = [pytest.mark.celery, pytest.mark.slow]


@pytest.mark.parametrize("name", ["redis", "worker"])
def test_when_a_process_dies_waiting_calls_fail_with_its_last_lines_and_the_next_gets_a_new_cluster(
    name: str, short: Path
) -> None:
    source = """
    import pathlib, time
    from distribute_challenge import compute_this

    @compute_this
    def work(folder):
        print("nearly there")
        pathlib.Path(folder, "begun").touch()
        time.sleep(1000)

    try:
        work(str(pathlib.Path(__file__).parent)).compute()
    except Exception as error:
        print(type(error).__name__, error, sep="|", flush=True)
    print(compute_this(len)("abc").compute(), flush=True)
    """
    with script(source, short, TMPDIR=str(short), DISTRIBUTE_CHALLENGE_WORKERS="1") as client:
        wait_until((short / "begun").exists)
        (folder,) = short.glob("distribute_challenge-*")
        os.kill(child_of(folder, name), signal.SIGKILL)
        assert client.wait() == 0, client.output
        assert (
            f"ClusterStartError|the embedded cluster's {name} process died (exit code -9); its "
            f"last lines:" in client.output
        )
        assert (
            "[work] nearly there" if name == "worker" else "Ready to accept connections"
        ) in client.output.lower() or ("ready to accept connections" in client.output.lower())
        assert client.output.endswith("\n3\n")
    wait_until(lambda: mentioning(folder.name) == {})
    assert list(short.glob("distribute_challenge-*")) == []


@unmeasured
@linux_only
def test_when_the_supervisor_is_killed_everything_ends_and_waiting_calls_fail(
    one_worker: LocalCluster, tmp_path: Path
) -> None:
    """Processes that calls have started, too, and the folder goes when the cluster is closed."""

    def work(folder: str) -> None:
        import subprocess
        import time

        below = subprocess.Popen(["sleep", "1000"])
        Path(folder, "new").write_text(f"{os.getpid()} {below.pid}")
        Path(folder, "new").rename(Path(folder, "pids"))
        time.sleep(1000)

    future = compute_this(work)(str(tmp_path)).submit()
    wait_until((tmp_path / "pids").exists)
    folder = folder_of(one_worker)
    everything = [
        *mentioning(folder.name),
        *(int(pid) for pid in (tmp_path / "pids").read_text().split()),
    ]
    os.kill(supervisor_of(folder), signal.SIGKILL)
    with pytest.raises(ClusterStartError, match="supervisor was killed"):
        future.result(PATIENCE)
    with pytest.raises(ClusterStartError, match="supervisor was killed"):
        compute_this(len)("abc").compute()
    one_worker.close()
    assert not folder.exists()
    # One of them is this process's child and ended with `close`.
    wait_until(lambda: alive(everything) == [], "the end of all processes")


@unmeasured
def test_a_client_with_very_many_open_files_notices_a_death(
    clean_environment: pytest.MonkeyPatch,
) -> None:
    """The numbers of its files are then beyond what `select` takes."""
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1200:
        pytest.skip("so many files are not allowed here")
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        cluster = EmbeddedCluster(1)
        cluster.start()
        cluster.wait_until_reachable()
        cluster.check()
        assert cluster.folder is not None
        os.kill(child_of(cluster.folder, "redis"), signal.SIGKILL)

        def died() -> bool:
            try:
                cluster.check()
            except ClusterStartError:
                return True
            return False

        wait_until(died)
        cluster.close()
    finally:
        for file in files:
            os.close(file)
