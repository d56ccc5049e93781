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

ANSWER_WITHIN = (
    60.0  # Seconds; an engine that starts twenty containers on two cores takes its time.
)
READERS = 24  # Connections at most, and only while usage is read; see `DockerEngine.readings`.
LAST_LINES = 20
CONFLICT = 409  # As a status of HTTP: what was asked for is about to go.


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container of a project, as in a list of all.

    Attributes:
        id: 64 hexadecimal digits.
        service: ``"worker"`` or ``"redis"``.
        number: Among those of its service, from 1.
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
        """Its name for people."""
        return self.service if self.service == "redis" else f"{self.service}-{self.number}"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How one container does, as far as a list does not say.

    Attributes:
        restarts: How often Docker has started it again.
        healthy: Its health check has not failed; True without one.
    """

    restarts: int
    healthy: bool


@dataclass(frozen=True, kw_only=True)
class End:
    """How a container, or what ran in it before Docker started it again, ended.

    Attributes:
        exit_code: 128 and the number of the signal, if one ended it.
        out_of_memory: The kernel ended a process of it, as its memory ran out.
    """

    exit_code: int
    out_of_memory: bool


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a container has taken.

    Attributes:
        time: When this was read, in seconds since 1970, by the engine's clock.
        cpu: Seconds of processor time since it started.
        memory: Bytes, without the page cache.
    """

    time: float
    cpu: float
    memory: int


class DockerEngine:
    """A Docker engine.

    Args:
        client: The SDK's client.

    Attributes:
        version: As ``"20.10.24"``.

    Raises:
        ClusterStartError: By every method, when the engine does not answer.

    Guarantees: any thread may call any method. It holds one connection, and up to `READERS` while
    usage is read.
    """

    def __init__(self, client: "APIClient") -> None:
        self._client = client
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="docker usage")
        self.version: str = _answer(client.version)["Version"]

    @classmethod
    def connect(cls) -> Self:
        """The engine that the ``docker`` command uses.

        Raises:
            ClusterStartError: None answers. The first line says so, the second what to do.
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
        """All containers of a Compose project, whether they run or not."""
        return [
            Container(
                id=each["Id"],
                service=each["Labels"]["com.docker.compose.service"],
                number=each["Labels"]["com.docker.compose.container-number"],
                state=each["State"],
                created=float(each["Created"]),
            )
            for each in _answer(self._client.containers, all=True, filters=_of(project))
            # What "docker compose run" made belongs to no service's number.
            if each["Labels"].get("com.docker.compose.oneoff") != "True"
        ]

    def condition(self, container: str) -> Condition | None:
        """How a container does; None if it is gone."""
        found = _answer(self._client.inspect_container, container)
        if found is None:
            return None
        health = found["State"].get("Health", {})
        return Condition(
            restarts=found["RestartCount"], healthy=health.get("Status") != "unhealthy"
        )

    def last_end(self, container: Container) -> End | None:
        """How a container ended last; None if it has not.

        What the engine says of its condition does not tell: that is forgotten when it is started
        again.
        """
        events = _answer(
            lambda: list(
                self._client.events(
                    since=int(container.created),
                    until=int(time.time()) + 1,  # It waits for that.
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
        """The end of what a container has written; nothing if it is gone."""
        text: bytes = _answer(self._client.logs, container, tail=LAST_LINES) or b""
        return text.decode(errors="replace").splitlines()

    def readings(self, containers: Sequence[str]) -> list[Reading | None]:
        """What containers have taken; None for each that does not run.

        Engines up to 24 answer this at the next tick of a clock of seconds: for twenty containers
        one after the other that were twenty seconds, for all at once it is one.
        """
        return list(self._readers.map(self._reading, containers))

    def publisher(self, port: int) -> str | None:
        """Name of the container that publishes a port of this machine."""
        found = _answer(self._client.containers, filters={"publish": str(port)})
        return found[0]["Names"][0].lstrip("/") if found else None

    def left_of(self, project: str) -> list[str]:
        """Names of all containers, networks and volumes of a project."""
        return [name for _, name in self._things(project)]

    def remove(self, project: str) -> None:
        """Remove what `left_of` names, whatever runs there."""
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
        """Containers first: networks and volumes cannot go while they are used."""
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
        # One that has ended has stats, too, with nothing in them.
        if found is None or "usage" not in found["memory_stats"]:
            return None
        memory = found["memory_stats"]
        # As "docker stats" counts; the first name is that of cgroup v1, whose other counts leave
        # out what is below.
        cache = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
        return Reading(
            time=datetime.fromisoformat(found["read"]).timestamp(),
            cpu=found["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
            memory=memory["usage"] - (cache if cache < memory["usage"] else 0),
        )


def _of(project: str) -> dict[str, list[str]]:
    return {"label": [f"com.docker.compose.project={project}"]}


def _address_of_context() -> str | None:
    """Where the engine of the command's present context is; None: where it is by default."""
    command = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    return (
        subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or None
    )


def _answer(ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What the engine says.

    Returns:
        None, if it says that what was asked for is not there (any more).
    """
    from docker.errors import APIError, DockerException, NotFound
    from requests import JSONDecodeError, RequestException

    try:
        return ask(*arguments, **options)
    except (NotFound, JSONDecodeError):
        return None  # The other is how it breaks off when what it speaks of goes while it speaks.
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
