"""Whether the containers of a project do what they should."""

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
    """Looks at the containers of one project, and remembers the names of all that it has seen.

    A worker that dies is started again by Docker. Once is let pass, with a warning: a call that
    took all memory or ended its process is the user's to see, as a call lost or run twice, and the
    cluster is whole again. A worker that dies twice would die all the time, and the cluster has not
    the size that is being measured. Redis may not die even once: what would be measured then is its
    restart.

    Args:
        engine: Where they run.
        project: Name of the project.
    """

    def __init__(self, engine: DockerEngine, project: str) -> None:
        self._engine = engine
        self._project = project
        self._names: dict[str, str] = {}
        self._warned: set[str] = set()
        self._turn = 0

    def look(self) -> list[Container]:
        """All containers that there are."""
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
        """Raise if something is wrong.

        Costs three short questions, however many containers there are: the list, how Redis does,
        and how one worker does, each in its turn.

        Args:
            workers: How many there should be at least.
            shrinking: More are there, and being stopped.

        Raises:
            ClusterStartError: With the last lines of the container that failed.
        """
        found = self.look()
        broker = [container for container in found if container.service == "redis"]
        present = [container for container in found if container.service == "worker"]
        if not broker:
            raise ClusterStartError("the container redis is gone: somebody has removed it")
        if len(present) < workers:
            raise ClusterStartError(
                f"{workers - len(present)} of {workers} worker containers are gone: somebody has "
                f"removed them"
            )
        self._turn += 1
        next_one = present[self._turn % len(present)] if present else None
        for container in (*broker, *present):
            ended = container.state in ("exited", "dead")
            if ended and shrinking and container.service == "worker":
                continue  # Asked to.
            if (
                ended
                or container.state == "restarting"
                or container.service == "redis"
                or container is next_one
            ):
                self._judge(container, self._engine.condition(container.id))

    def _judge(self, container: Container, condition: Condition | None) -> None:
        if condition is None:
            return  # Removed since: the next look tells whether that is wrong.
        if container.state in ("exited", "dead"):
            raise self._error(container, "has ended")
        # Of a worker it says nothing: Docker calls whoever is being stopped unhealthy.
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
