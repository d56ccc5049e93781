"""The interface of a cluster that the benchmark can scale, watch and remove without a trace."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

from distribute_challenge.benchmarking.recording import Usage

__all__ = ["Cluster"]


class Cluster(ABC):
    """A broker and workers of one process each. Another kind of cluster is another subclass.

    It knows nothing of the calls, nor how many workers are wanted for how long. As a context
    manager it starts, and ends however the block is left.

    Attributes:
        kind: Its name for ``--cluster``.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def broker_url(self) -> str:
        """Where the client reaches the broker; the same from `start` to `stop`."""

    @abstractmethod
    def start(self) -> None:
        """Bring up the broker, and return when it answers.

        Workers may start as well; `scale` brings them to the number that is measured.

        Raises:
            SystemFailureError: The cluster does not come up. The text has the last log lines of
                what failed, and says what to do.
        """

    @abstractmethod
    def scale(self, workers: int) -> None:
        """Ask for so many workers.

        They may still be starting when it returns; those that go finish what they run.

        Raises:
            SystemFailureError: It cannot be done; with the last log lines of what failed.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise if anything that should run does not. Called about once a second, so it is quick.

        Raises:
            SystemFailureError: Something died, or dies again and again; with its last log lines.
        """

    @abstractmethod
    def usage(self) -> Mapping[str, Usage]:
        """Return what each container or process takes, by its label, as ``"worker-3"``.

        The broker is one of them.
        """

    @abstractmethod
    def label(self, worker: str) -> str:
        """The name under which `usage` knows a worker.

        Args:
            worker: Its name in a `Timeline`, as ``"worker@host/pid"``.
        """

    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """Versions of what it is made of, by name, for the record."""

    @abstractmethod
    def stop(self) -> None:
        """End everything, and remove all that `start` and `scale` made.

        Safe to call at any time, and again.
        """

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
