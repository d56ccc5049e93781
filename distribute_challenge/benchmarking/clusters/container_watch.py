"""Checks whether the containers of a project run as they should."""

from contextlib import suppress

from distribute_challenge.benchmarking.clusters.docker_engine import (
    Condition,
    Container,
    DockerEngine,
)
from distribute_challenge.errors import ClusterStartError
from distribute_challenge.log import logger

__all__ = ["ContainerWatch"]

HOST_DIGITS = 12  # Docker names a container's host after the beginning of its id.


class ContainerWatch:
    """Checks the containers of one project, and remembers the names of all that it has seen.

    Docker starts a worker that dies again. The first death of a worker is a warning only: a call
    may have taken all memory or ended its process, the results show that call as lost or run twice,
    and the cluster has its size again. A worker that dies twice is likely to go on dying, and then
    the cluster does not have the size that is measured. Redis must not die even once, as its
    restart would be measured.

    Args:
        engine: Engine that runs the containers.
        project: Name of the project.
    """

    def __init__(self, engine: DockerEngine, project: str) -> None:
        self._engine = engine
        self._project = project
        self._names: dict[str, str] = {}
        self._warned: set[str] = set()
        self._turn = 0

    def look(self) -> list[Container]:
        """Return all containers of the project, and remember their names."""
        found = self._engine.containers(self._project)
        self._names.update({container.id[:HOST_DIGITS]: container.name for container in found})
        return found

    def name(self, host: str) -> str:
        """Return the name of the container with a host name, also of one that is gone.

        If there was no such container, this is the host name itself.
        """
        if host not in self._names:
            with suppress(ClusterStartError):  # An engine that is gone has no new names.
                self.look()
        return self._names.setdefault(host, host)

    def check(self, *, workers: int, shrinking: bool) -> None:
        """Raise if a container is missing or does not run as it should.

        The engine gets three short questions, however many containers there are: the list, the
        condition of Redis, and the condition of one worker, another one each time.

        Args:
            workers: How many workers there should be at least.
            shrinking: Whether there are more workers, which are being stopped.

        Raises:
            ClusterStartError: The text has the last lines of the container that failed.
        """
        found = self.look()
        broker = [container for container in found if container.service == "redis"]
        present = [container for container in found if container.service == "worker"]
        if not broker:
            raise ClusterStartError("the container redis is gone: another process has removed it")
        if len(present) < workers:
            raise ClusterStartError(
                f"{workers - len(present)} of {workers} worker containers are gone: another "
                f"process has removed them"
            )
        self._turn += 1
        next_one = present[self._turn % len(present)] if present else None
        for container in (*broker, *present):
            ended = container.state in ("exited", "dead")
            if ended and shrinking and container.service == "worker":
                continue  # The cluster has stopped it.
            if (
                ended
                or container.state == "restarting"
                or container.service == "redis"
                or container is next_one
            ):
                self._judge(container, self._engine.condition(container.id))

    def _judge(self, container: Container, condition: Condition | None) -> None:
        if condition is None:
            return  # Removed since: the next check finds out whether that is wrong.
        if container.state in ("exited", "dead"):
            raise self._error(container, "has ended")
        # Not of workers: Docker calls a container that is being stopped unhealthy.
        if container.service == "redis" and not condition.healthy:
            raise self._error(container, "runs, but fails its health check")
        if container.service == "redis" and condition.restarts:
            raise self._error(container, "died, and what would be measured now is its restart")
        if condition.restarts > 1:
            raise self._error(container, f"dies again and again, {condition.restarts} times so far")
        if condition.restarts and container.id not in self._warned:
            self._warned.add(container.id)
            logger.warning("%s", self._error(container, "died once, and was started again"))

    def _error(self, container: Container, what: str) -> ClusterStartError:
        end = self._engine.last_end(container)
        how = f" (exit code {end.exit_code}{', out of memory' * end.out_of_memory})" if end else ""
        lines = [f"    {line}" for line in self._engine.last_lines(container.id)]
        return ClusterStartError(
            "\n".join([f"the container {container.name} {what}{how}; its last lines:", *lines])
        )
