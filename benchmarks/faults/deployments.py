"""How each system is set up: the command lines of what it runs, and where its clients find it."""

import secrets
from abc import ABC, abstractmethod
from pathlib import Path

from benchmarks.peers.runner import free_port
from benchmarks.peers.services import FOLDER, REDIS_PORT, REDIS_URL, accepts, redis_command

__all__ = ["CeleryOnRedis", "DaskScheduler", "Deployment", "DistributeChallengeOnRedis", "RayHead"]


class Deployment(ABC):
    """One in the middle, such as a Redis server or a scheduler, and workers with one process for
    calls each.

    Args:
        python: Path of the interpreter of the system's environment.

    Attributes:
        environment: Variables for all its programs, and for clients.
    """

    def __init__(self, python: str) -> None:
        self.python = python
        self.environment: dict[str, str] = {}

    @abstractmethod
    def middle(self) -> list[str]:
        """Command line of the one in the middle; the same again starts it again."""

    @abstractmethod
    def is_up(self) -> bool:
        """Whether the one in the middle answers."""

    @abstractmethod
    def worker(self, number: int) -> list[str]:
        """Command line of a worker; ``number`` makes its name."""

    def next_may_start(self, workers: int) -> bool:
        """Whether another worker may be started where there are so many."""
        return True

    def _script(self, name: str) -> str:
        return str(Path(self.python).parent / name)


class _OnRedis(Deployment):
    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.environment["FAULTS_ADDRESS"] = REDIS_URL

    def middle(self) -> list[str]:
        return redis_command(append_only=True)

    def is_up(self) -> bool:
        return accepts(REDIS_PORT)


class CeleryOnRedis(_OnRedis):
    """`celery worker`, and Redis with its append-only file."""

    def worker(self, number: int) -> list[str]:
        application = "benchmarks.faults.adapters.celery:app"
        return [
            *(self.python, "-m", "celery", "-A", application, "worker"),
            *("--concurrency", "1", "--hostname", f"worker{number}@%h", "--loglevel", "INFO"),
        ]


class DistributeChallengeOnRedis(_OnRedis):
    """`distribute-challenge worker`, and Redis with its append-only file."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.environment["DISTRIBUTE_CHALLENGE_BROKER_URL"] = REDIS_URL
        self.environment["DISTRIBUTE_CHALLENGE_SECRET"] = secrets.token_hex(32)
        self.environment["DISTRIBUTE_CHALLENGE_ALLOW_ROOT"] = (
            "1"  # As in the containers that benchmarks mostly run in.
        )

    def worker(self, number: int) -> list[str]:
        command = (self.python, "-m", "distribute_challenge", "worker")
        return [*command, "--concurrency", "1", "--name", f"worker{number}"]


class DaskScheduler(Deployment):
    """`dask scheduler`, and `dask worker` with its nanny."""

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.port = free_port()
        self.environment["FAULTS_ADDRESS"] = f"tcp://127.0.0.1:{self.port}"

    def middle(self) -> list[str]:
        address = ("--host", "127.0.0.1", "--port", str(self.port))
        return [self._script("dask"), "scheduler", *address, "--no-dashboard"]

    def is_up(self) -> bool:
        return accepts(self.port)

    def worker(self, number: int) -> list[str]:
        return [
            *(
                self._script("dask"),
                "worker",
                self.environment["FAULTS_ADDRESS"],
                "--host",
                "127.0.0.1",
            ),
            *(
                "--nthreads",
                "1",
                "--name",
                f"worker{number}",
                "--no-dashboard",
                "--local-directory",
                str(FOLDER),
            ),
        ]


class RayHead(Deployment):
    """`ray start --head` with no CPU for calls, and further nodes with one each, all on this
    machine.
    """

    # Ray takes 127.0.0.1 for the address that others reach this machine by; these stay inside
    # (Linux has all of 127.0.0.0/8).
    HEAD = "127.0.0.2"
    # A store of the least size, as nothing large travels, and ports that the system chooses, so
    # that nodes do not collide.
    COMMON = (
        "--block",
        "--object-store-memory",
        "80000000",
        "--min-worker-port",
        "0",
        "--max-worker-port",
        "0",
    )

    def __init__(self, python: str) -> None:
        super().__init__(python)
        self.port = free_port()
        self._heads = 0
        self.environment["FAULTS_ADDRESS"] = f"{self.HEAD}:{self.port}"

    def middle(self) -> list[str]:
        self._heads += 1
        return [
            *(
                self._script("ray"),
                "start",
                "--head",
                "--num-cpus",
                "0",
                "--node-ip-address",
                self.HEAD,
            ),
            *(
                "--port",
                str(self.port),
                "--temp-dir",
                str(self._folder),
                "--include-dashboard",
                "false",
            ),
            *self.COMMON,
        ]

    def is_up(self) -> bool:
        return accepts(self.port, self.HEAD)

    def worker(self, number: int) -> list[str]:
        return [
            *(
                self._script("ray"),
                "start",
                "--address",
                self.environment["FAULTS_ADDRESS"],
                "--num-cpus",
                "1",
            ),
            *("--node-ip-address", f"127.0.0.{3 + number}", *self.COMMON),
        ]

    def next_may_start(self, workers: int) -> bool:
        # Nodes that start at the same time choose the same name for their sockets.
        name = f"plasma_store.{workers}" if workers else "plasma_store"
        return (self._folder / "session_latest" / "sockets" / name).exists()

    @property
    def _folder(self) -> Path:
        # A new one for each head: in the old one it finds that it is running already, as its nodes
        # are on the same machine.
        return FOLDER / f"ray{self._heads}"
