"""The interface of a cluster that the benchmark can scale, watch and remove without a trace."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

from distribute_challenge.benchmarking.recording import Usage

__all__ = ["Cluster"]


class Cluster(ABC):
    """A broker, and workers with one process each; each kind of cluster is a subclass.

    A cluster knows neither the calls nor the plan. As a context manager it starts, and it stops
    however the block is left.

    Attributes:
        kind: Name for ``--cluster``.
    """

    kind: ClassVar[str]

    @property
    @abstractmethod
    def broker_url(self) -> str:
        """Address of the broker for the client; the same from `start` to `stop`."""

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
        """Ask for this many workers.

        New workers may still be starting when this returns. Workers that leave finish the calls
        that they run.

        Raises:
            SystemFailureError: The cluster cannot be scaled. The text has the last log lines of
                what failed.
        """

    @abstractmethod
    def check(self) -> None:
        """Raise if a part of the cluster does not run.

        `Experiment` calls this about once a second, so it must be quick.

        Raises:
            SystemFailureError: A part died, or dies again and again. The text has its last log
                lines.
        """

    @abstractmethod
    def usage(self) -> Mapping[str, Usage]:
        """Return what each container or process takes, by its label, as ``"worker-3"``.

        The broker is one of them.
        """

    @abstractmethod
    def label(self, worker: str) -> str:
        """Return the name of a worker in `usage`.

        Args:
            worker: Name of the worker in a `Timeline`, as ``"worker@host/pid"``.
        """

    @abstractmethod
    def versions(self) -> Mapping[str, str]:
        """Return the versions of the cluster's parts, by name, for the record."""

    @abstractmethod
    def stop(self) -> None:
        """End everything, and remove all that `start` and `scale` made.

        It may be called at any time, and again.
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
