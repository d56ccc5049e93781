"""Finds ``docker compose``, and runs it for one project."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import distribute_challenge
from distribute_challenge.benchmarking.clusters.child_process import ChildProcess
from distribute_challenge.errors import ClusterStartError

__all__ = ["ComposeProject"]

FILE = "docker-compose.yml"
FILE_VARIABLE = "COMPOSE_FILE"  # Compose reads it itself.
ANSWER_WITHIN = 60.0  # Seconds for commands that change nothing.
LINES_SHOWN = 20


class ComposeProject:
    """A Compose file, and the command that runs what the file describes.

    Args:
        command: Command line that calls Compose.
        version: Version of Compose, as ``"2.26.1"``.
        folder: Folder in which Compose runs. It finds the file there, unless the variable
            ``COMPOSE_FILE`` names another one.

    Attributes:
        name: Name of the project; set it before the first command that makes anything.
        environment: Variables that the file reads, in addition to this process's.
        keep: Descriptors of this process's open files that commands inherit.
    """

    def __init__(self, command: Sequence[str], *, version: str, folder: Path) -> None:
        self.version = version
        self.name = "distribute_challenge"
        # Kept, so that all commands use the same file even if this process's variable changes.
        self.environment = {
            name: os.environ[name] for name in (FILE_VARIABLE,) if name in os.environ
        }
        self.keep: list[int] = []
        self._command = command
        self._folder = folder

    @classmethod
    def find(cls) -> Self:
        """Find Compose and its file on this machine.

        Raises:
            ClusterStartError: One of the two is missing. The first line of the text says which, the
                second what to do.
        """
        docker = shutil.which("docker")
        if docker is None:
            raise ClusterStartError(
                "there is no docker command\nInstall Docker with its Compose plugin: "
                "https://docs.docker.com/engine/install"
            )
        done = _run([docker, "compose", "version", "--short"])
        version = done.stdout.strip().removeprefix("v")
        if done.returncode or not re.match(r"[2-9]\.|\d\d", version):
            raise ClusterStartError(
                "the docker command has no Compose of version 2 or later\n"
                "Install its plugin: https://docs.docker.com/compose/install (docker-compose 1 is "
                "another program)"
            )
        return cls([docker, "compose", "--ansi", "never"], version=version, folder=_folder())

    def published_port(self, service: str, port: int) -> int:
        """Return the port of this machine at which the file publishes a port of a service.

        Raises:
            ClusterStartError: Compose cannot read the file, or it has no such service or port.
        """
        services = self._configuration().get("services", {})
        if missing := [name for name in ("redis", "worker") if name not in services]:
            raise ClusterStartError(
                f"the Compose file has no service {' and no service '.join(missing)}\n"
                f"Take the {FILE} of distribute_challenge, with {FILE_VARIABLE}=path/to/{FILE}"
            )
        for each in services[service].get("ports", ()):
            published = str(each.get("published", ""))
            if each["target"] == port and published.isdecimal() and int(published):
                return int(published)
        raise ClusterStartError(
            f"the Compose file publishes no port for {service}\n"
            f'Add to the service: ports: ["127.0.0.1:{port}:{port}"]'
        )

    def start(self, *arguments: str, output: Path) -> ChildProcess:
        """Start a command, without waiting for it.

        Args:
            arguments: The command, as ``"up", "redis"``.
            output: File to which the command's output is appended.
        """
        return ChildProcess(
            [*self._command, "--project-name", self.name, *arguments],
            output=output,
            environment=self.environment,
            folder=self._folder,
            keep=self.keep,
        )

    def _configuration(self) -> Mapping[str, Any]:
        """Return the file as Compose understands it, with its variables filled in."""
        done = _run(
            [*self._command, "config", "--format", "json"],
            folder=self._folder,
            environment=self.environment,
        )
        if done.returncode:
            raise ClusterStartError(
                "\n    ".join(
                    ["Compose cannot read its file:", *done.stderr.splitlines()[-LINES_SHOWN:]]
                )
            )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def _folder() -> Path:
    """Return the folder of the Compose file: the current one, or the checkout of this package."""
    here = Path.cwd()
    if os.environ.get(FILE_VARIABLE):
        return here
    places = [here, Path(distribute_challenge.__file__).parents[1]]
    for place in places:
        if (place / FILE).is_file():
            return place
    raise ClusterStartError(
        f"there is no {FILE} in {' or '.join(map(str, dict.fromkeys(places)))}\n"
        f"Run this in a checkout of distribute_challenge, or set {FILE_VARIABLE}=path/to/{FILE}"
    )


def _run(
    command: Sequence[str],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ClusterStartError(
            f"{' '.join(command)} did not answer within {ANSWER_WITHIN:g} s"
        ) from None
