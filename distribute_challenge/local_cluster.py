"""`LocalCluster`: a cluster on this machine that the caller starts, scales and ends."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from distribute_challenge import settings
from distribute_challenge.cluster import EmbeddedCluster
from distribute_challenge.core import clock
from distribute_challenge.errors import OptionError, SystemFailureError
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
from distribute_challenge.execution_backends.registry import use_backend

if TYPE_CHECKING:
    from distribute_challenge.dashboard.child import DashboardProcess

__all__ = ["LocalCluster"]

# Seconds; to add processes takes tenths of a second, to remove them as long as their calls run.
SCALE_DEADLINE = 60.0
ASK_EVERY = 0.05  # Seconds between two checks whether the number is reached.


class LocalCluster:
    """A private Redis server and Celery workers on this machine.

    As a context manager it also runs the calls made inside the block (in the same thread) that name
    no backend. Other processes of the same user can join by its ``broker_url``.

    Args:
        workers: Number of worker processes; None: one for each core.
        logs: Whether this process shows what its calls print and log; None: yes, unless
            ``DISTRIBUTE_CHALLENGE_LOGS=0`` is set.
        dashboard: Whether a page shows what runs. Its address is `dashboard_url`, and is printed to
            standard error. It needs the extra ``dashboard``.

    Attributes:
        backend: The engine that runs calls on the cluster, for
            ``.compute(backend=cluster.backend)``.

    Raises:
        OptionError: ``workers`` is not a whole number of at least 1.
        BackendError: ``dashboard`` is set, and a package that it needs is not installed.

    Examples:
        >>> from distribute_challenge import LocalCluster, compute_this
        >>> with LocalCluster(workers=2) as cluster:
        ...     compute_this(lambda x: x * x)(3).compute()
        9
    """

    def __init__(
        self, workers: int | None = None, *, logs: bool | None = None, dashboard: bool = False
    ) -> None:
        self._embedded = EmbeddedCluster(
            _checked(settings.worker_count() if workers is None else workers)
        )
        self.backend = CeleryExecutionBackend(cluster=self._embedded, logs=logs)
        self._block = ExitStack()
        self._has_dashboard = dashboard
        self._dashboard: DashboardProcess | None = None
        if dashboard:
            from distribute_challenge.dashboard.serving import check_installed

            check_installed()

    @property
    def dashboard_url(self) -> str | None:
        """Address of the page that shows what runs; None without ``dashboard=True``, and at rest.

        It has a token, without which the page does not open.
        """
        return None if self._dashboard is None else self._dashboard.address

    @property
    def broker_url(self) -> str:
        """Address of the broker: set ``CELERY_BROKER_URL`` to it to join from another process.

        Raises:
            ClusterStartError: The cluster is not running.
        """
        return self._embedded.broker_url

    @property
    def workers(self) -> int:
        """Number of worker processes, as last requested."""
        return self._embedded.workers

    def start(self) -> Self:
        """Start the cluster unless it is running, and wait until its broker answers.

        A closed cluster starts anew.

        Raises:
            ClusterStartError: It does not start; with the last log lines of the process that died.
        """
        if self._embedded.folder is None:
            self._embedded.start()
            try:
                self._embedded.wait_until_reachable()
                if self._has_dashboard:
                    self._start_dashboard()
            except BaseException:
                self._embedded.close()
                raise
        return self

    def scale(self, workers: int) -> None:
        """Change the number of worker processes, and wait until it is reached.

        Args:
            workers: The new number. A process that runs a call finishes it before it ends.

        Raises:
            OptionError: ``workers`` is not a whole number of at least 1.
            ClusterStartError: The cluster is not running.
            SystemFailureError: It took longer than a minute, because running calls take longer.
        """
        wanted = _checked(workers)
        deadline = clock.monotonic() + SCALE_DEADLINE
        while (have := self._ask_to_scale(wanted)) != wanted:
            if clock.monotonic() > deadline:
                raise SystemFailureError(
                    f"the cluster has {have or 'no'} worker processes and not {wanted} after "
                    f"{SCALE_DEADLINE:g} s, because "
                    f"running calls are not interrupted; call scale({wanted}) again later"
                )
            time.sleep(ASK_EVERY)
        self._embedded.workers = wanted

    def check(self) -> None:
        """Raise `ClusterStartError` if the cluster is not running or one of its processes died.

        The error has the last log lines.
        """
        self._embedded.check()

    def log(self) -> str:
        """Return what its workers have written: prints and log lines of calls, with their names."""
        return self._embedded.log()

    @property
    def log_file(self) -> Path:
        """The file that its workers write to, which exists while the cluster runs.

        Raises:
            ClusterStartError: The cluster is not running.
        """
        return self._embedded.log_file()

    def close(self) -> None:
        """End the cluster. Running calls are abandoned, and waiting calls are cancelled."""
        dashboard, self._dashboard = self._dashboard, None
        if dashboard is not None:
            dashboard.close()
        self.backend.close()
        self._embedded.close()

    def __enter__(self) -> Self:
        self.start()
        self._block.enter_context(use_backend(self.backend))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._block.close()
        self.close()

    def _start_dashboard(self) -> None:
        from distribute_challenge.dashboard.child import DashboardProcess

        self._dashboard = DashboardProcess(self.broker_url)
        print(f"dashboard: {self._dashboard.address}", file=sys.stderr, flush=True)

    def __repr__(self) -> str:
        return f"LocalCluster({', '.join(self._embedded.facts()[:3])})"

    def _repr_html_(self) -> str:
        from distribute_challenge.core.card import card, link  # Few programs show a cluster.

        names = ("size", "state", "broker", "log")
        facts = self._embedded.facts()
        address = self.dashboard_url
        below = "" if address is None else link("dashboard", address)
        return card("LocalCluster", zip(names, facts, strict=False), below)

    def _ask_to_scale(self, workers: int) -> int | None:
        """Tell the worker the new number; return the number that it has, or None without an answer.

        The worker may not answer yet, because it is still starting.
        """
        # Imported here, because most programs do not scale.
        from redis import RedisError

        from distribute_challenge.execution_backends.celery.broker.control import scale

        self._embedded.check()
        try:
            return scale(self.broker_url, workers)
        except RedisError:
            return None  # The server is gone; the next check raises an error that says why.


def _checked(workers: Any) -> int:
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise OptionError(f"workers={workers!r}: expected a whole number of at least 1")
    return workers
