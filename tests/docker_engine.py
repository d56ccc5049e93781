"""A real Docker engine for tests: whether there is one, and clusters that leave nothing behind.

A test that needs one has the marker ``docker``. Without an engine it is skipped, and fails where
``CI`` is set: there it would otherwise never be noticed that it does not run.
"""

import fcntl
import json
import os
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from distribute_challenge.errors import ClusterStartError
from distribute_challenge.security import new_secret
from tests.processes import environment

CHECKOUT = Path(__file__).parents[1]
LABEL = "com.docker.compose.project"
ANSWER_WITHIN = 30  # Seconds for a question to the engine.
DONE_WITHIN = 300  # Seconds for an order, among them building images.
ATTEMPTS = 3
# What a build writes that misses files which are there.
MISSING_FILES = ("failed to compute cache key", "failed to read dockerfile")

# What the Compose file reads: a user's own settings are not those of tests.
_VARIABLES = (
    *("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "DISTRIBUTE_CHALLENGE_ENCRYPT"),
    *(
        "DISTRIBUTE_CHALLENGE_SECRET",
        "FLOWER_IMAGE",
        "FLOWER_PORT",
        "OMP_NUM_THREADS",
        "PACKAGES",
        "PYTHON_VERSION",
        "REDIS_MEMORY",
        "REDIS_PASSWORD",
        "REDIS_PORT",
    ),
    *(
        "WORKER_HEALTH_INTERVAL",
        "WORKER_IMAGE",
        "WORKER_MEMORY",
        "WORKER_PROCESSES",
        "WORKER_STOP_PERIOD",
    ),
    "WORKERS",
)


@cache
def what_is_missing() -> str | None:
    """Why tests with containers cannot run here; None: they can."""
    for command, what in (
        (["docker", "info", "--format", "{{.ServerVersion}}"], "a Docker engine that answers"),
        (["docker", "compose", "version", "--short"], "Docker Compose, version 2 or newer"),
    ):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=ANSWER_WITHIN, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"needs {what}: {error}"
        # The client succeeds with an empty answer where the engine is silent.
        if done.returncode != 0 or not done.stdout.strip():
            return f"needs {what}: {done.stderr.strip() or 'no answer'}"
    return None


def free_port() -> int:
    """A port of this machine at which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def docker(*arguments: str, timeout: float = ANSWER_WITHIN) -> str:
    """Run a command of Docker's that succeeds; what it writes."""
    return _run(["docker", *arguments], _clean(), timeout)


def build(work: Callable[[], str]) -> str:
    """Do what builds an image of the checkout, while no other process of the test run does.

    Builds of one folder at the same time share what was sent of it, and sometimes one of them
    then misses files that are there. Such a build is tried again.
    """
    lock = Path(tempfile.gettempdir()) / f"distribute_challenge_tests_build_{os.getuid()}"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for _ in range(ATTEMPTS - 1):
            try:
                return work()
            except (AssertionError, ClusterStartError) as error:
                if not any(text in str(error) for text in MISSING_FILES):
                    raise
        return work()


class Project:
    """The repository's Compose file, as a project with a name, keys, ports and images of its own.

    Args:
        variables: What the Compose file reads, besides keys, ports, images and the version of
            Python.
    """

    def __init__(self, **variables: str) -> None:
        self.name = f"distribute_challenge_test_{uuid.uuid4().hex[:12]}"
        self.variables = {
            "DISTRIBUTE_CHALLENGE_SECRET": new_secret(),
            "REDIS_PASSWORD": new_secret(),
            "REDIS_PORT": str(free_port()),
            "FLOWER_PORT": str(free_port()),
            # Not the user's, which may have other packages in them.
            "WORKER_IMAGE": f"{self.name}:worker",
            "FLOWER_IMAGE": f"{self.name}:flower",
            # Workers need the client's.
            "PYTHON_VERSION": f"{sys.version_info.major}.{sys.version_info.minor}",
            **variables,
        }
        self.password = self.variables["REDIS_PASSWORD"]
        self.secret = self.variables["DISTRIBUTE_CHALLENGE_SECRET"]
        self.broker_url = f"redis://:{self.password}@localhost:{self.variables['REDIS_PORT']}/0"

    def compose(self, *arguments: str) -> str:
        """Run a command of Compose's that succeeds; what it writes."""
        # Nothing from the user's .env file.
        options = [
            "--project-name",
            self.name,
            "--project-directory",
            str(CHECKOUT),
            "--env-file",
            os.devnull,
        ]
        command = ["docker", "compose", *options, *arguments]
        if not {"build", "up"}.intersection(arguments):
            return _run(command, _clean(**self.variables), DONE_WITHIN)
        return build(lambda: _run(command, _clean(**self.variables), DONE_WITHIN))

    def configuration(self, *options: str) -> dict[str, Any]:
        """The Compose file as Compose understands it."""
        found: dict[str, Any] = json.loads(self.compose(*options, "config", "--format", "json"))
        return found

    def scale(self, workers: int) -> None:
        """Order so many workers; returns when those are gone that are too many."""
        self.compose("up", "--detach", "--no-recreate", "--scale", f"worker={workers}", "worker")

    def containers(self, service: str) -> list[dict[str, Any]]:
        """What the engine knows of a service's containers, also of those that do not run."""
        ids = self.compose("ps", "--all", "--quiet", service).split()
        found: list[dict[str, Any]] = json.loads(docker("inspect", *ids)) if ids else []
        return sorted(found, key=lambda container: str(container["Name"]))

    def down(self) -> None:
        """Take everything away.

        Raises:
            AssertionError: Something is left.
        """
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "10")
        # By name: to Compose, the public Redis image would be one of the project's.
        for image in docker(
            "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", self.name
        ).split():
            docker("image", "rm", image)
        assert self.left() == []

    def left(self) -> list[str]:
        """The project's containers, networks, volumes and images that exist, by name or number."""
        mine = ("--filter", f"label={LABEL}={self.name}", "--quiet")
        listings = [
            docker("ps", "--all", *mine),
            docker("network", "ls", *mine),
            docker("volume", "ls", *mine),
        ]
        return [*"\n".join(listings).split(), *self.images()]

    def images(self) -> list[str]:
        """Numbers of the images that were built for this project."""
        return docker("image", "ls", "--quiet", self.name).split()


def _clean(**variables: str) -> dict[str, str]:
    inherited = environment()
    return {
        **{name: value for name, value in inherited.items() if name not in _VARIABLES},
        **variables,
    }


def _run(command: list[str], variables: dict[str, str], timeout: float) -> str:
    done = subprocess.run(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, (
        f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def in_ci() -> bool:
    """Whether tests that cannot run are failures."""
    return bool(os.environ.get("CI"))
