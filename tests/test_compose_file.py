"""The Compose file gives a cluster that works, in real containers of one project."""

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import redis
from click.testing import CliRunner

from distribute_challenge.cli import main
from distribute_challenge.errors import BrokerUnreachableError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.celery.broker import presence
from distribute_challenge.execution_backends.celery.broker.connection import (
    check_reachable,
    connect,
)
from distribute_challenge.execution_backends.celery.broker.ping import ping
from tests.calls import place, surroundings
from tests.docker_engine import Project, docker
from tests.processes import PATIENCE, run, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.slow]

LEASE = 60  # Seconds, at most, until others run again what a killed worker held.


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    """Two workers, which are there; in the end nothing of them is left."""
    project = Project(
        WORKERS="2", WORKER_HEALTH_INTERVAL="2s", WORKER_STOP_PERIOD="30s", WORKER_MEMORY="300m"
    )
    try:
        project.compose("up", "--detach")
        with pytest.MonkeyPatch.context() as context:
            # For this module's clients.
            context.setenv("DISTRIBUTE_CHALLENGE_SECRET", project.secret)
            workers(project, 2)
            yield project
    finally:
        project.down()


@pytest.fixture(scope="module")
def backend(project: Project) -> Iterator[CeleryExecutionBackend]:
    with CeleryExecutionBackend(project.broker_url) as backend:
        yield backend


def workers(project: Project, number: int) -> set[str]:
    """Host names of so many workers, waited for until they answer."""
    with connect(project.broker_url) as connection:
        answers = ping(connection, wanted=number, timeout=PATIENCE)
    assert len(answers) == number
    return {name.partition("@")[2] for name in answers}


class Load:
    """Calls without end, in the background, until `finish`.

    Args:
        backend: What runs them.
    """

    def __init__(self, backend: CeleryExecutionBackend) -> None:
        self._enough = threading.Event()
        self._issued = 0
        self.done: list[tuple[int, str]] = []
        self._threads = ThreadPoolExecutor(1)
        self._consumer = self._threads.submit(self._consume, backend)

    def _numbers(self) -> Iterator[int]:
        while not self._enough.is_set():
            yield self._issued
            self._issued += 1

    def _consume(self, backend: CeleryExecutionBackend) -> None:
        for result in place.map(self._numbers(), ordered=False, backend=backend):
            self.done.append(result)

    def seen(self) -> set[str]:
        """The containers that have taken part so far."""
        if self._consumer.done():
            self._consumer.result()
        return {host for _, host in list(self.done)}

    def finish(self, within: float) -> None:
        """End it; every call has come back, and once."""
        self._enough.set()
        self._consumer.result(within)
        assert sorted(number for number, _ in self.done) == list(range(self._issued))

    def close(self) -> None:
        self._enough.set()
        self._threads.shutdown(wait=False)


@pytest.fixture
def load(backend: CeleryExecutionBackend) -> Iterator[Load]:
    load = Load(backend)
    yield load
    load.close()


def test_the_secret_command_writes_all_that_the_compose_file_needs(tmp_path: Path) -> None:
    """Compose finds the file by itself; here it is told where."""
    project, file = Project(), tmp_path / ".env"
    del project.variables["DISTRIBUTE_CHALLENGE_SECRET"], project.variables["REDIS_PASSWORD"]
    assert CliRunner().invoke(main, ["secret", "--env", str(file)]).exit_code == 0
    made = dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)
    services = project.configuration("--env-file", str(file))["services"]
    worker = services["worker"]["environment"]
    assert worker["DISTRIBUTE_CHALLENGE_SECRET"] == made["DISTRIBUTE_CHALLENGE_SECRET"]
    assert worker["CELERY_BROKER_URL"] == made["CELERY_BROKER_URL"].replace("localhost", "redis")
    assert services["redis"]["environment"]["REDISCLI_AUTH"] == made["REDIS_PASSWORD"]
    assert services["worker"]["deploy"]["replicas"] == int(made["WORKERS"])


def test_variables_are_passed_to_the_services_that_use_them() -> None:
    project = Project(
        PACKAGES="numpy pandas",
        PYTHON_VERSION="3.13",
        REDIS_MEMORY="2gb",
        WORKER_HEALTH_INTERVAL="7s",
        WORKER_IMAGE="",
        WORKER_MEMORY="2g",
        WORKER_PROCESSES="4",
        WORKER_STOP_PERIOD="5m",
        OMP_NUM_THREADS="2",
    )
    services = project.configuration("--profile", "flower")["services"]
    redis, worker, flower = (services[name] for name in ("redis", "worker", "flower"))
    assert redis["ports"][0]["published"] == project.variables["REDIS_PORT"]
    assert redis["command"][redis["command"].index("--maxmemory") + 1] == "2gb"
    assert worker["image"] == "distribute_challenge-worker:py3.13"
    assert worker["build"]["args"] == {"PACKAGES": "numpy pandas", "PYTHON_VERSION": "3.13"}
    assert worker["command"][-1] == "4"
    assert (
        worker["environment"]["OMP_NUM_THREADS"]
        == worker["environment"]["OPENBLAS_NUM_THREADS"]
        == "2"
    )
    assert worker["healthcheck"]["interval"] == "7s"
    assert worker["stop_grace_period"] == "5m0s"
    assert int(worker["mem_limit"]) == 2**31
    assert flower["build"]["args"] == {"PYTHON_VERSION": "3.13"}
    assert flower["ports"][0]["published"] == project.variables["FLOWER_PORT"]
    assert flower["ports"][0]["host_ip"] == "127.0.0.1"


def test_a_call_of_a_script_on_the_host_uses_modules_of_its_folder(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "own.py").write_text(
        "import socket\ndef where():\n    return socket.gethostname()\n"
    )
    script = "import own\nfrom distribute_challenge import compute_this\nprint(compute_this(own.where)().compute())"
    assert run(script, tmp_path, CELERY_BROKER_URL=project.broker_url).strip() in workers(
        project, 2
    )


def test_functions_run_without_rights_in_a_folder_they_may_write_to(
    project: Project, backend: CeleryExecutionBackend
) -> None:
    assert surroundings().compute(backend, timeout=PATIENCE) == {
        "user": 1000,
        "home": "/tmp",
        "threads": "1",
        "writes here": True,
        "writes elsewhere": False,
        "becomes root": False,
    }
    for container in project.containers("worker"):
        assert container["HostConfig"]["Memory"] == 300 * 2**20


def test_no_container_runs_as_root_or_may_more_than_it_has_to(project: Project) -> None:
    for container in [*project.containers("worker"), *project.containers("redis")]:
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert docker("exec", container["Id"], "id", "-u").strip() != "0"


@pytest.mark.parametrize(
    "command",
    [
        ["distribute-challenge", "worker"],
        ["celery", "-A", "distribute_challenge.execution_backends.celery", "worker"],
    ],
    ids=["own", "celery"],
)
def test_a_worker_in_a_container_of_root_s_refuses_and_says_what_to_do(
    project: Project, command: list[str]
) -> None:
    with pytest.raises(AssertionError, match="exit code 1\n") as caught:
        project.compose("run", "--rm", "--no-deps", "--user", "0", "-T", "worker", *command)
    text = str(caught.value)
    assert (
        "Error: a worker does not run as root in a container (this is one by Docker's /.dockerenv)"
        in text
    )
    assert '`user: "1000"` in the Compose file, `USER 1000` in the Dockerfile' in text


def test_redis_lets_in_no_client_without_its_password(project: Project) -> None:
    """Redis asks for it on this machine and between containers, and binds to loopback alone."""
    (container,) = project.containers("redis")
    published = container["NetworkSettings"]["Ports"]["6379/tcp"]
    assert published == [{"HostIp": "127.0.0.1", "HostPort": project.variables["REDIS_PORT"]}]
    for url in (
        project.broker_url.replace(f":{project.password}@", ""),
        project.broker_url.replace("@", "x@"),
    ):
        with pytest.raises(BrokerUnreachableError, match="refused the login"):
            check_reachable(url)
    ask = "import redis\ntry: redis.Redis(host='redis').ping()\nexcept redis.AuthenticationError: print('refused')"
    (worker, *_) = project.containers("worker")
    assert docker("exec", worker["Id"], "python", "-c", ask) == "refused\n"


def test_neither_password_nor_secret_is_on_a_command_line_or_in_a_log(project: Project) -> None:
    for container in [*project.containers("worker"), *project.containers("redis")]:
        seen = [
            docker(
                "inspect",
                "--format",
                "{{json .Path}}{{json .Args}}{{json .Config.Cmd}}",
                container["Id"],
            ),
            docker("top", container["Id"], "-eo", "pid,args"),
            json.dumps([container["Config"]["Healthcheck"], container["Config"]["Labels"]]),
        ]
        assert not [text for text in seen if project.password in text or project.secret in text]
    logs = project.compose("--profile", "*", "logs", "--no-color")
    assert "ready." in logs  # It is the workers' log.
    assert project.password not in logs
    assert project.secret not in logs


def test_all_containers_become_healthy(project: Project) -> None:
    def healthy(service: str) -> int:
        return [
            container["State"]["Health"]["Status"] for container in project.containers(service)
        ].count("healthy")

    wait_until(lambda: healthy("redis") == 1, "the health of Redis")
    wait_until(lambda: healthy("worker") == 2, "the health of the workers")


def test_the_health_check_fails_if_the_container_s_own_worker_hangs(project: Project) -> None:
    """Answers of other workers do not matter."""
    container = project.containers("worker")[0]["Id"]
    with connect(project.broker_url) as connection:
        (pid,) = (
            worker.pid
            for worker in presence.workers(connection)
            if container.startswith(worker.host)
        )
    ask = [
        "docker",
        "exec",
        container,
        "distribute-challenge",
        "ping",
        "--timeout",
        "0.5",
        "worker",
    ]
    assert subprocess.run(ask, timeout=PATIENCE, check=False).returncode == 0
    docker("exec", container, "sh", "-c", f"kill -STOP {pid}")
    try:
        assert subprocess.run(ask, timeout=PATIENCE, check=False).returncode == 1
    finally:
        docker("exec", container, "sh", "-c", f"kill -CONT {pid}")


def test_redis_keeps_what_it_has_over_a_restart_and_throws_nothing_away(project: Project) -> None:
    with connect(project.broker_url) as connection:
        assert connection.config_get(
            "appendonly", "appendfsync", "maxmemory-policy", "maxmemory"
        ) == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "maxmemory": str(2**30),
        }
        connection.set("kept", 1)
        project.compose("restart", "redis")

        def answers() -> bool:
            try:
                return bool(connection.ping())
            except redis.ConnectionError:
                return False

        wait_until(answers, "Redis' restart")
        assert connection.getdel("kept") == b"1"
    workers(project, 2)


def test_scaling_under_load_loses_no_call(project: Project, load: Load) -> None:
    wait_until(lambda: len(load.seen()) == 2, "two workers' part")
    project.scale(3)
    wait_until(lambda: len(load.seen()) == 3, "three workers' part")
    project.scale(1)
    assert len(workers(project, 1)) == 1
    load.finish(within=PATIENCE)
    assert [container["State"]["Status"] for container in project.containers("worker")] == [
        "running"
    ]


def test_flower_shows_the_workers_without_recreating_them(project: Project) -> None:
    before = [container["Id"] for container in project.containers("worker")]
    project.variables.update(WORKERS="1", COMPOSE_PROFILES="flower")
    project.compose("up", "--detach")
    assert [container["Id"] for container in project.containers("worker")] == before
    (worker,) = workers(project, 1)
    page = f"http://127.0.0.1:{project.variables['FLOWER_PORT']}/workers"

    def shown() -> bool:
        login = base64.b64encode(f"flower:{project.password}".encode()).decode()
        try:
            with urlopen(
                Request(page, headers={"Authorization": f"Basic {login}"}), timeout=5
            ) as answer:
                return f"worker@{worker}" in answer.read().decode()
        except OSError:
            return False

    wait_until(shown, "the worker on Flower's page")
    with pytest.raises(HTTPError, match="401"):
        urlopen(page, timeout=5)
    (flower,) = project.containers("flower")
    assert docker("exec", flower["Id"], "id", "-u").strip() == "1000"
    assert project.password not in project.compose("--profile", "flower", "logs", "flower")
    assert project.password not in docker("top", flower["Id"], "-eo", "pid,args")


def test_a_container_that_is_killed_under_load_loses_no_call(project: Project, load: Load) -> None:
    project.scale(2)
    both = workers(project, 2)
    wait_until(lambda: load.seen() >= both, "two workers' part")
    victim = project.containers("worker")[0]
    docker("kill", victim["Id"])
    load.finish(within=LEASE)
    survivors = [container["State"]["Status"] for container in project.containers("worker")]
    assert sorted(survivors) == ["exited", "running"]


def test_down_removes_everything_including_flower(project: Project) -> None:
    """All but the images. Comes last: nothing is left for other tests."""
    assert project.containers("flower")
    project.compose("down", "--volumes")
    assert [name for name in project.left() if name not in project.images()] == []
