"""A dashboard beside a cluster of one's own."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from distribute_challenge import LocalCluster
from distribute_challenge.dashboard import child, serving
from distribute_challenge.dashboard.child import DashboardProcess
from distribute_challenge.errors import BackendError
from tests.optional import needed
from tests.processes import PATIENCE, alive, environment, run, wait_until

needed("uvicorn")

pytestmark = [pytest.mark.celery, pytest.mark.slow]


def text_at(address: str) -> str:
    with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_a_cluster_may_have_a_dashboard_which_ends_with_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its address is shown, and another one gets another port."""
    with LocalCluster(1, dashboard=True) as cluster, LocalCluster(1, dashboard=True) as other:
        address, another = cluster.dashboard_url, other.dashboard_url
        assert address is not None
        assert another is not None
        assert address.partition("?")[0] != another.partition("?")[0]
        error = capsys.readouterr().err
        assert f"dashboard: {address}\n" in error
        assert f'href="{address}"' in cluster._repr_html_()
        assert "<title>Cluster</title>" in text_at(address)
        backlog = address.replace("/?", "/api/backlog?")
        wait_until(lambda: '"processes": 1' in text_at(backlog), "a worker")
        process = cluster._dashboard._process  # type: ignore[union-attr]
    assert process.returncode == 0
    assert cluster.dashboard_url is None
    with pytest.raises(urllib.error.URLError):
        text_at(address)


def test_a_cluster_has_no_dashboard_by_default() -> None:
    with LocalCluster(1) as cluster:
        assert cluster.dashboard_url is None
        assert "href" not in cluster._repr_html_()


KILLED = """
import os
import signal
from distribute_challenge import LocalCluster

cluster = LocalCluster(1, dashboard=True).start()
print(cluster._dashboard._process.pid, flush=True)
if os.fork() == 0:
    cluster._dashboard.close()  # Not its own.
    assert cluster._dashboard._process.stdin.closed is False
    os._exit(0)
os.wait()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_dashboard_process_ends_when_its_program_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "killed.py"
    path.write_text(KILLED)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(path)],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    pid = int(done.stdout)
    wait_until(lambda: not alive([pid]), "its end")


def test_a_dashboard_process_that_does_not_end_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LocalCluster(1) as cluster:
        dashboard = DashboardProcess(cluster.broker_url)
        monkeypatch.setattr(child, "END_WITHIN", 0.0)
        dashboard.close()
        assert dashboard._process.returncode is not None


@pytest.mark.parametrize("package", ["starlette", "uvicorn"])
def test_a_missing_package_is_named_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr(serving, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(BackendError) as raised:
        LocalCluster(1, dashboard=True)
    assert str(raised.value) == (
        f"the dashboard needs {package}, which is not installed: "
        f'pip install "distribute-challenge[dashboard]"'
    )


def test_importing_the_library_loads_no_web_server(tmp_path: Path) -> None:
    loaded = "[name for name in ('starlette', 'uvicorn', 'anyio') if name in sys.modules]"
    source = f"import sys, distribute_challenge.local_cluster\nprint({loaded})"
    assert run(source, tmp_path).strip() == "[]"
