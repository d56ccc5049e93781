"""The cluster of the Compose file: Redis in one container, and each worker in another."""

import math
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import redis

from distribute_challenge.benchmarking.clusters.base import Cluster
from distribute_challenge.benchmarking.clusters.child_process import ChildProcess
from distribute_challenge.benchmarking.clusters.compose_project import ComposeProject
from distribute_challenge.benchmarking.clusters.container_watch import ContainerWatch
from distribute_challenge.benchmarking.clusters.cpu_meter import CpuMeter
from distribute_challenge.benchmarking.clusters.docker_engine import DockerEngine
from distribute_challenge.benchmarking.clusters.run_lock import RunLock
from distribute_challenge.benchmarking.clusters.variables import TemporaryVariables
from distribute_challenge.benchmarking.recording import Usage
from distribute_challenge.core.condition import Event
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.execution_backends.celery.broker.connection import connect
from distribute_challenge.log import logger
from distribute_challenge.security import new_secret
from distribute_challenge.settings import SECRET_VARIABLE, masked

__all__ = ["ComposeCluster"]

PATIENCE = 30.0  # Seconds that a worker has to end, on top of its longest call.
# Seconds; twenty containers take seven on two cores, and Redis' image may have to be pulled.
UP_WITHIN = 300.0
# Seconds from the start of Redis' container to its first answer; it takes less than one.
ANSWER_WITHIN = 60.0
ASK_EVERY = 0.05  # Seconds.
DOWN_WITHIN = 120.0  # Seconds; twenty containers take four on two cores.
# Seconds that containers have to end when the cluster is taken down; no client needs their results.
KILL_AFTER = 3
# Several, as the engine may still be making what an ended command has asked for.
ATTEMPTS = 5

_PORT_TAKEN = re.compile(
    r"port is already allocated|address already in use|ports are not available", re.IGNORECASE
)


class ComposeCluster(Cluster):
    """The cluster of the Compose file, as a project of its own that is named after its port.

    Args:
        project: Compose and its file.
        engine: The engine that Compose uses.
        output: Folder for ``build.log`` and ``compose.log``.
        longest_call: Seconds that one call may take: workers that are stopped have that long, and a
            little more, to end.
        verbose: Whether to show on standard error what Compose writes as it builds and starts.

    Raises:
        ClusterStartError: Compose cannot read its file, or the file lacks what is needed.

    Guarantees:

    - When `stop` returns, nothing that the cluster made is left, whatever was interrupted before.
      `stop` itself cannot be interrupted: another thread does the work, with commands that Ctrl+C
      does not reach.
    - A cluster whose benchmark was killed is taken down by the next benchmark at the same port. Two
      benchmarks at the same port cannot run at once.
    - `scale` leaves the container of Redis alone.
    - Only clients of this process can make calls on it: the secret and the password of Redis are
      new. The clients find the secret in an environment variable, from `start` to `stop`.
    """

    kind = "compose"

    def __init__(
        self,
        project: ComposeProject,
        engine: DockerEngine,
        *,
        output: Path,
        longest_call: float,
        verbose: bool = False,
    ) -> None:
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        keys = {SECRET_VARIABLE: new_secret()}
        self._password = new_secret()
        project.environment.update(
            **keys,
            REDIS_PASSWORD=self._password,
            # The workers' Python must be able to read this process's bytecode. The image has a name
            # of its own, so that it does not replace one with packages of the user's.
            PYTHON_VERSION=python,
            WORKER_IMAGE=os.environ.get("WORKER_IMAGE")
            or f"distribute_challenge-benchmark:py{python}",
            WORKER_PROCESSES="1",
            # `check` sees more than Docker's health check of workers, which would take CPU time
            # from the calls that are measured.
            WORKER_HEALTH_INTERVAL="1h",
            WORKER_STOP_PERIOD=f"{math.ceil(longest_call + PATIENCE)}s",
        )
        self._port = project.published_port("redis", 6379)
        project.environment["REDIS_PORT"] = str(self._port)
        project.name = f"distribute_challenge_load_{self._port}"
        self._project = project
        self._keys = TemporaryVariables(keys)
        self._engine = engine
        self._log = output / "compose.log"
        self._build_log = output / "build.log"
        self._longest_call = longest_call
        self._verbose = verbose
        self._lock = RunLock(self._port)
        self._watch = ContainerWatch(engine, project.name)
        self._meter = CpuMeter()
        self._workers = 0
        self._shrinking: ChildProcess | None = None

    @property
    def broker_url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def start(self) -> None:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._build_log.unlink(missing_ok=True)
        self._lock.take()
        self._keys.set()
        self._project.keep = [self._lock.file]
        self._workers = 0
        if left := self._engine.left_of(self._project.name):
            logger.warning(
                "removing what an earlier benchmark that was killed has left: %s", ", ".join(left)
            )
            self._take_down()
        if _listens(self._port):
            raise self._port_taken()
        self._run("build", "worker", output=self._build_log)
        self._run("up", "--detach", "--no-build", "--no-deps", "redis")
        deadline = time.monotonic() + ANSWER_WITHIN
        while not self._answers():
            self.check()
            if time.monotonic() > deadline:
                raise ClusterStartError(
                    f"the container redis runs, but does not answer at {masked(self.broker_url)} "
                    f"within {ANSWER_WITHIN:g} s"
                )
            time.sleep(ASK_EVERY)

    def scale(self, workers: int) -> None:
        self._finish_shrinking()
        up = (
            "up",
            "--detach",
            "--no-build",
            "--no-deps",
            "--no-recreate",
            "--scale",
            f"worker={workers}",
            "worker",
        )
        if workers < self._workers:
            # The command ends when the running calls do, which may take minutes.
            self._workers = workers
            self._shrinking = self._project.start(*up, output=self._log)
        else:
            self._run(*up)
            self._workers = workers
        self._watch.look()

    def check(self) -> None:
        # Read before the containers are listed: stopped ones are gone when the command has ended.
        shrinking = self._shrinking is not None and self._shrinking.code is None
        if not shrinking:
            self._finish_shrinking()
        self._watch.check(workers=self._workers, shrinking=shrinking)

    def usage(self) -> Mapping[str, Usage]:
        running = [container for container in self._watch.look() if container.state == "running"]
        readings = self._engine.readings([container.id for container in running])
        return {
            container.name: Usage(
                cpu=self._meter.cores(
                    container.id, time=reading.time, total=reading.cpu, born=container.created
                ),
                memory=reading.memory,
            )
            for container, reading in zip(running, readings, strict=True)
            if reading is not None
        }

    def label(self, worker: str) -> str:
        return self._watch.name(worker.partition("@")[2].partition("/")[0])

    def versions(self) -> Mapping[str, str]:
        python = self._run(
            "run", "--rm", "--no-deps", "-T", "--entrypoint", "python", "worker", "--version"
        )
        found = re.search(r"^Python (\S+)", python, re.MULTILINE)
        return {
            "docker": self._engine.version,
            "compose": self._project.version,
            "worker_python": found[1] if found else "unknown",
            "redis": connect(self.broker_url).info("server")["redis_version"],
        }

    def stop(self) -> None:
        done = Event()

        def work() -> None:
            try:
                if self._lock.held:
                    self._take_down()
            finally:
                self._keys.restore()
                self._engine.close()
                self._lock.release()
                done.set()

        threading.Thread(target=work, name="take down").start()
        while not done.is_set():
            try:
                done.wait()
            except KeyboardInterrupt:
                logger.warning("the cluster is being taken down: a few more seconds")

    def _run(self, *arguments: str, output: Path | None = None) -> str:
        """Run a command to its end, and return what it wrote.

        Args:
            arguments: The command, as ``"up", "redis"``.
            output: File for the output of a build, which has no time limit; None: the log.

        Raises:
            ClusterStartError: The command failed, or did not end within `UP_WITHIN` seconds.
        """
        child = self._project.start(*arguments, output=output or self._log)
        # A build has no limit, as its time depends on the network and on the user's image.
        self._finish(
            child, " ".join(arguments), within=math.inf if output else UP_WITHIN, show=self._verbose
        )
        return child.text()

    def _finish(
        self, child: ChildProcess, command: str, *, within: float, show: bool = False
    ) -> None:
        """Wait until a command has succeeded.

        Raises:
            ClusterStartError: The command failed, or did not end in time.
        """
        try:
            code = child.wait(within=within, show=show)
        except TimeoutError:
            what = f"did not end within {within:g} s"
        else:
            if code == 0:
                return
            what = f"failed (exit code {code})"
        if _PORT_TAKEN.search(child.text()):
            raise self._port_taken()
        lines = [f"    {line}" for line in child.last_lines()]
        raise ClusterStartError(
            "\n".join([f"docker compose {command} {what}; its last lines:", *lines])
        )

    def _finish_shrinking(self) -> None:
        child, self._shrinking = self._shrinking, None
        if child is not None:
            within = self._longest_call + PATIENCE + UP_WITHIN
            self._finish(child, f"up --scale worker={self._workers}", within=within)

    def _answers(self) -> bool:
        try:
            with connect(self.broker_url, answer_within=1.0) as connection:
                return bool(connection.ping())
        except redis.AuthenticationError:
            raise ClusterStartError(
                "the container redis does not let in this benchmark, which has made a password for "
                "it\nThe Compose file has to "
                "give it what the variable REDIS_PASSWORD holds, as the docker-compose.yml of "
                "distribute_challenge does"
            ) from None
        except (redis.RedisError, OSError):
            return False

    def _port_taken(self) -> ClusterStartError:
        holder = self._engine.publisher(self._port)
        by, stop = (
            (f"the container {holder}", f"docker stop {holder}")
            if holder
            else (
                "a program of this machine, perhaps another Redis",
                f"lsof -i :{self._port} names it",
            )
        )
        return ClusterStartError(
            f"port {self._port} is taken by {by}\nStop it ({stop}), or take another port: "
            f"REDIS_PORT={self._port + 1}"
        )

    def _take_down(self) -> None:
        """Remove all that there is of the project.

        Never raises, as it also runs while an error is on its way to the caller.
        """
        try:
            if self._shrinking is not None:
                self._shrinking.end()
                self._shrinking = None
            for attempt in range(ATTEMPTS):
                if attempt:
                    self._engine.remove(self._project.name)
                else:
                    arguments = (
                        "down",
                        "--volumes",
                        "--remove-orphans",
                        "--timeout",
                        str(KILL_AFTER),
                    )
                    self._project.start(*arguments, output=self._log).wait(within=DOWN_WITHIN)
                if not self._engine.left_of(self._project.name):
                    return
            reason = "it does not go"
        except Exception as error:  # Whatever it is, the user must learn what may be left.
            reason = str(error)
        logger.error(
            "something of the cluster may be left (%s); remove it with: docker compose "
            "--project-name %s down --volumes",
            reason,
            self._project.name,
        )


def _listens(port: int) -> bool:
    """Return whether a program listens at a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
