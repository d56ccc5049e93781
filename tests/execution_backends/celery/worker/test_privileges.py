"""Workers do not run as root in a container; elsewhere they say what that means."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from distribute_challenge.errors import SystemFailureError
from distribute_challenge.execution_backends.celery.worker import privileges
from distribute_challenge.execution_backends.celery.worker.privileges import container, guard
from tests.execution_backends.celery.conftest import Server
from tests.processes import PATIENCE, Program, environment, program

pytestmark = pytest.mark.slow

REFUSAL = "a worker does not run as root in a container (this is one by "
COMMANDS = {
    "own": [sys.executable, "-m", "distribute_challenge", "worker", "--concurrency", "1"],
    "celery": [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "distribute_challenge.execution_backends.celery",
        "worker",
        "-c1",
        "-lINFO",
    ],
}


@pytest.fixture(autouse=True)
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISTRIBUTE_CHALLENGE_ALLOW_ROOT")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that shows no container; a folder for the files that would show one."""
    marks = {
        str(tmp_path / name): engine
        for name, engine in (("dockerenv", "Docker"), ("containerenv", "Podman"))
    }
    monkeypatch.setattr(privileges, "_MARKS", marks)
    monkeypatch.setattr(privileges, "_FIRST_PROCESS", str(tmp_path / "cgroup"))
    (tmp_path / "cgroup").write_text("12:pids:/init.scope\n0::/init.scope\n")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.delenv("container", raising=False)
    return tmp_path


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_a_machine_is_not_taken_for_a_container(outside: Path) -> None:
    assert container() is None
    (outside / "cgroup").unlink()  # As where there is no /proc.
    assert container() is None


@pytest.mark.parametrize(("file", "engine"), [("dockerenv", "Docker"), ("containerenv", "Podman")])
def test_an_engine_s_own_file_shows_a_container(file: str, engine: str, outside: Path) -> None:
    (outside / file).touch()
    assert container() == f"{engine}'s {outside / file}"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("container", "systemd-nspawn")],
)
def test_a_variable_shows_a_container(
    variable: str, value: str, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    assert container() == f"the variable {variable}"


@pytest.mark.parametrize(
    "group",
    [
        "/docker/0123",
        "/kubepods/burstable/pod1/2",
        "/machine.slice/libpod-12.scope",
        "/lxc/one",
        "/x/cri-containerd-1",
    ],
)
def test_the_first_process_s_control_group_shows_a_container(group: str, outside: Path) -> None:
    (outside / "cgroup").write_text(f"4:memory:{group}\n")
    assert container() == f"the name of its control group in {outside / 'cgroup'}"


@pytest.mark.usefixtures("root")
def test_root_is_refused_in_a_container_with_what_to_do(outside: Path) -> None:
    (outside / "dockerenv").touch()
    with pytest.raises(SystemFailureError) as caught:
        guard()
    text = str(caught.value)
    assert text.startswith(REFUSAL + "Docker's ")
    for way in (
        '`user: "1000"` in the Compose file',
        "`USER 1000` in the Dockerfile",
        "securityContext.runAsUser in Kubernetes",
        "DISTRIBUTE_CHALLENGE_ALLOW_ROOT=1 starts it all the same",
    ):
        assert way in text


def test_other_users_than_root_may_start_a_worker(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "dockerenv").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    guard()


@pytest.mark.usefixtures("root")
def test_the_variable_allows_root_in_a_container(
    outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "dockerenv").touch()
    monkeypatch.setenv("DISTRIBUTE_CHALLENGE_ALLOW_ROOT", "1")
    guard()


# --- real workers, which are told that they run as root, or do

AS_ROOT = "import os, sys; os.geteuid = lambda: 0; sys.argv[:] = sys.argv[1:]; "
IN_CONTAINER = "os.environ['container'] = 'a test'; "
OUTSIDE = (
    "from distribute_challenge.execution_backends.celery.worker import privileges; "
    "privileges.container = lambda: None; os.environ.pop('container', None); "
)
RUN = "import runpy; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"


def command(name: str, *before: str) -> list[str]:
    """Run one of the two commands in an interpreter that some lines prepare."""
    _, _, module, *arguments = COMMANDS[name]
    return [sys.executable, "-c", "".join([AS_ROOT, *before, RUN]), module, *arguments]


def refused(command: list[str], **variables: str) -> str:
    done = subprocess.run(
        command,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_both_commands_refuse_root_in_a_container_before_they_take_a_call(
    name: str, server: Server
) -> None:
    assert f"Error: {REFUSAL}" in refused(command(name, IN_CONTAINER), CELERY_BROKER_URL=server.url)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_invalid_value_of_the_variable_is_an_error(name: str, server: Server) -> None:
    variables = {"CELERY_BROKER_URL": server.url, "DISTRIBUTE_CHALLENGE_ALLOW_ROOT": "yes"}
    expected = "Error: DISTRIBUTE_CHALLENGE_ALLOW_ROOT='yes' is no choice"
    assert expected in refused(command(name, IN_CONTAINER), **variables)


@pytest.mark.parametrize("name", COMMANDS)
def test_both_commands_warn_in_their_log_if_run_as_root_outside_of_a_container(
    name: str, server: Server, tmp_path: Path
) -> None:
    with program(command(name, OUTSIDE), tmp_path, CELERY_BROKER_URL=server.url) as worker:
        output = worker.wait_for("ready.")
        assert f" WARNING MainProcess [-] {privileges.WARNING}\n" in output
        stop(worker)


@pytest.mark.skipif(os.geteuid() != 0 or container() is None, reason="is not root in a container")
@pytest.mark.parametrize("name", COMMANDS)
def test_both_commands_refuse_or_allow_real_root_in_a_real_container(
    name: str, server: Server, tmp_path: Path
) -> None:
    assert f"Error: {REFUSAL}" in refused(COMMANDS[name], CELERY_BROKER_URL=server.url)
    variables = {"CELERY_BROKER_URL": server.url, "DISTRIBUTE_CHALLENGE_ALLOW_ROOT": "1"}
    with program(COMMANDS[name], tmp_path, **variables) as worker:
        assert privileges.WARNING not in worker.wait_for("ready.")
        stop(worker)


def stop(worker: Program) -> None:
    worker.process.terminate()
    assert worker.wait() == 0, worker.output
