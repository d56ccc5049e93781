"""The deployments: the command lines of each system's programs, and its address for clients."""

import secrets
from abc import ABC, abstractmethod
from pathlib import Path

from benchmarks.ports import accepts, free_port
from benchmarks.sessions.services import FOLDER, REDIS_PORT, REDIS_URL, redis_command

__all__ = ["CeleryOnRedis", "DaskScheduler", "Deployment", "DistributeChallengeOnRedis", "RayHead"]


class Deployment(ABC):
    """The programs of a system: one in the middle, and workers with one child process each.

    The program in the middle is the system's Redis server, scheduler or head.

    Args:
        python: Path of the interpreter of the system's environment.

    Attributes:
        environment: Environment variables of all programs and clients.
    """

    def __init__(self, python: str) -> None:
        self.python = python
        self.environment: dict[str, str] = {}

    @abstractmethod
    def middle(self) -> list[str]:
        """Return the command line of the program in the middle, for its first or a later start."""

    @abstractmethod
    def is_up(self) -> bool:
        """Return whether the program in the middle answers."""

    @abstractmethod
    def worker(self, number: int) -> list[str]:
        """Return the command line of a worker, which is named after ``number``."""

    def next_may_start(self, workers: int) -> bool:
        """Return whether another worker may be started after this many."""
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
            "1"  # Benchmarks mostly run as root, in containers.
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
    """`ray start --head` without CPUs for calls, and nodes with one CPU each, on this machine."""

    # Ray replaces 127.0.0.1 by an address at which other machines reach this one. These addresses
    # stay inside the machine (Linux has all of 127.0.0.0/8).
    HEAD = "127.0.0.2"
    # The smallest store, as nothing large travels, and ports that the system chooses, so that nodes
    # do not collide.
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
        # A new folder for each head: in the old one, a new head would find that Ray runs already,
        # as the nodes are on the same machine.
        return FOLDER / f"ray{self._heads}"
