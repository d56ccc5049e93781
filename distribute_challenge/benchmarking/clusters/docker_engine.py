"""The Docker engine: which containers a Compose project has, and what state they are in."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from distribute_challenge.benchmarking.extra import benchmarking_extra
from distribute_challenge.errors import ClusterStartError

if TYPE_CHECKING:
    from docker import APIClient

__all__ = ["Condition", "Container", "DockerEngine", "End", "Reading"]

# Seconds; an engine that starts twenty containers on two cores takes its time.
ANSWER_WITHIN = 60.0
READERS = 24  # Connections at most, and only while usage is read; see `DockerEngine.readings`.
LAST_LINES = 20
CONFLICT = 409  # HTTP status if what was asked for is being removed.


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container of a project, as the list of containers shows it.

    Attributes:
        id: 64 hexadecimal digits.
        service: ``"worker"`` or ``"redis"``.
        number: Number among the containers of the service, from 1.
        state: ``"created"``, ``"running"``, ``"restarting"``, ``"exited"``, ...
        created: Seconds since 1970.
    """

    id: str
    service: str
    number: str
    state: str
    created: float

    @property
    def name(self) -> str:
        """The container's name for people, as ``"worker-3"`` or ``"redis"``."""
        return self.service if self.service == "redis" else f"{self.service}-{self.number}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """The state of one container, as far as the list of containers does not show it.

    Attributes:
        restarts: How often Docker has started the container again.
        healthy: Whether its health check has not failed; True if it has none.
    """

    restarts: int
    healthy: bool


@dataclass(frozen=True, kw_only=True)
class End:
    """How a container ended, even if Docker has started it again since.

    Attributes:
        exit_code: The exit code: 128 plus the number of the signal, if a signal ended it.
        out_of_memory: Whether the kernel killed one of its processes, as memory ran out.
    """

    exit_code: int
    out_of_memory: bool


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The CPU time and memory that a container has taken.

    Attributes:
        time: When this was read, in seconds since 1970, by the engine's clock.
        cpu: Seconds of CPU time since the container started.
        memory: Bytes, without the page cache.
    """

    time: float
    cpu: float
    memory: int


class DockerEngine:
    """A Docker engine, as clusters of containers use it.

    Args:
        client: The SDK's client.

    Attributes:
        version: Version of the engine, as ``"20.10.24"``.

    Raises:
        ClusterStartError: The engine does not answer. Every method but `close` may raise it.

    Guarantees: any thread may call any method. The object holds one connection, and up to `READERS`
    while usage is read.
    """

    def __init__(self, client: "APIClient") -> None:
        self._client = client
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="docker usage")
        self.version: str = _answer(client.version)["Version"]

    @classmethod
    def connect(cls) -> Self:
        """Connect to the engine that the ``docker`` command uses.

        Raises:
            ClusterStartError: No engine answers. The first line of the text says so, the second
                what to do.
            BackendError: The SDK is not installed.
        """
        with benchmarking_extra():
            from docker import APIClient
            from docker.utils import kwargs_from_env
        # The SDK knows the variables, but not the context that "docker context use" has chosen.
        address = (
            kwargs_from_env()
            if "DOCKER_HOST" in os.environ
            else {"base_url": _address_of_context()}
        )
        return cls(
            _answer(
                APIClient, **address, version="auto", timeout=ANSWER_WITHIN, max_pool_size=READERS
            )
        )

    def containers(self, project: str) -> list[Container]:
        """Return all containers of a Compose project, whether they run or not."""
        return [
            Container(
                id=each["Id"],
                service=each["Labels"]["com.docker.compose.service"],
                number=each["Labels"]["com.docker.compose.container-number"],
                state=each["State"],
                created=float(each["Created"]),
            )
            for each in _answer(self._client.containers, all=True, filters=_of(project))
            # A container of "docker compose run" is none of the numbered ones of a service.
            if each["Labels"].get("com.docker.compose.oneoff") != "True"
        ]

    def condition(self, container: str) -> Condition | None:
        """Return the condition of a container; None if it is gone."""
        found = _answer(self._client.inspect_container, container)
        if found is None:
            return None
        health = found["State"].get("Health", {})
        return Condition(
            restarts=found["RestartCount"], healthy=health.get("Status") != "unhealthy"
        )

    def last_end(self, container: Container) -> End | None:
        """Return how a container ended last; None if it has not ended.

        This comes from the engine's events, as the engine forgets the last end in the container's
        state when it starts the container again.
        """
        events = _answer(
            lambda: list(
                self._client.events(
                    since=int(container.created),
                    until=int(time.time()) + 1,  # The engine answers at that time.
                    filters={"container": container.id, "event": ["die", "oom"]},
                    decode=True,
                )
            )
        )
        codes = [
            int(event["Actor"]["Attributes"]["exitCode"])
            for event in events
            if event["Action"] == "die"
        ]
        if not codes:
            return None
        return End(
            exit_code=codes[-1], out_of_memory=any(event["Action"] == "oom" for event in events)
        )

    def last_lines(self, container: str) -> list[str]:
        """Return the last lines that a container has written; none if it is gone."""
        text: bytes = _answer(self._client.logs, container, tail=LAST_LINES) or b""
        return text.decode(errors="replace").splitlines()

    def readings(self, containers: Sequence[str]) -> list[Reading | None]:
        """Return what containers have taken; None for each that does not run.

        Engines up to version 24 answer this once a second. For twenty containers one after the
        other, that would take twenty seconds; for all at once it takes one.
        """
        return list(self._readers.map(self._reading, containers))

    def publisher(self, port: int) -> str | None:
        """Return the name of the container that publishes a port of this machine, if any."""
        found = _answer(self._client.containers, filters={"publish": str(port)})
        return found[0]["Names"][0].lstrip("/") if found else None

    def left_of(self, project: str) -> list[str]:
        """Return the names of all containers, networks and volumes of a project."""
        return [name for _, name in self._things(project)]

    def remove(self, project: str) -> None:
        """Remove what `left_of` names, also containers that run."""
        for kind, name in self._things(project):
            if kind == "container":
                _answer(self._client.remove_container, name, force=True, v=True)
            elif kind == "network":
                _answer(self._client.remove_network, name)
            else:
                _answer(self._client.remove_volume, name, force=True)

    def close(self) -> None:
        """Close its connections; a later call opens new ones."""
        self._client.close()

    def _things(self, project: str) -> list[tuple[str, str]]:
        """Return the kind and name of each thing of a project.

        Containers come first, as networks and volumes that are used cannot be removed.
        """
        containers = _answer(self._client.containers, all=True, filters=_of(project))
        networks = _answer(self._client.networks, filters=_of(project))
        volumes = _answer(self._client.volumes, filters=_of(project))["Volumes"] or []
        return [
            *(("container", each["Names"][0].lstrip("/")) for each in containers),
            *(("network", each["Name"]) for each in networks),
            *(("volume", each["Name"]) for each in volumes),
        ]

    def _reading(self, container: str) -> Reading | None:
        found = _answer(self._client.stats, container, stream=False, one_shot=True)
        # A container that has ended has stats too, but empty ones.
        if found is None or "usage" not in found["memory_stats"]:
            return None
        memory = found["memory_stats"]
        # As "docker stats" counts. The first name is that of cgroup v1, whose other counts leave
        # out the groups below.
        cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
        return Reading(
            time=datetime.fromisoformat(found["read"]).timestamp(),
            cpu=found["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
            memory=memory["usage"] - (cache if cache < memory["usage"] else 0),
        )


def _of(project: str) -> dict[str, list[str]]:
    return {"label": [f"com.docker.compose.project={project}"]}


def _address_of_context() -> str | None:
    """Return the engine's address in the command's current context; None: the default one."""
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    return (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    )


def _answer(ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Ask the engine a question.

    Returns:
        The answer; None if what was asked for does not exist (any more).

    Raises:
        ClusterStartError: The engine does not answer, or fails.
    """
    from docker.errors import APIError, DockerException, NotFound
    from requests import JSONDecodeError, RequestException

    try:
        return ask(*arguments, **options)
    except (NotFound, JSONDecodeError):
        return None  # JSONDecodeError: the container went away in the middle of the answer.
    except APIError as error:
        if error.status_code == CONFLICT:
            return None
        raise ClusterStartError(f"the Docker engine failed: {error.explanation or error}") from None
    except (DockerException, RequestException) as error:
        reason = " ".join(str(error).split())
        raise ClusterStartError(
            f"no Docker engine answers ({reason})\nStart it, and see that this user may use it: "
            f"docker info tells more"
        ) from None
