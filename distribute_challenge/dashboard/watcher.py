"""Takes a snapshot each second, as long as someone asks for it."""

import threading
from typing import Final

from distribute_challenge.core import clock
from distribute_challenge.dashboard.collector import Collector
from distribute_challenge.dashboard.snapshot import Snapshot
from distribute_challenge.errors import SystemFailureError

__all__ = ["Watcher"]

LOOK_EVERY: Final = 1.0  # Seconds.
FRESH: Final = 3.0  # Seconds for which a snapshot is given out.
WAIT_AT_MOST: Final = 20.0  # Seconds for a first look at a Redis that answers slowly.


class Watcher:
    """A thread that watches a cluster while it is asked for snapshots, and sleeps otherwise.

    Guarantees: any thread may call. ``_changed`` protects all fields; the collector is used by the
    watcher's own thread alone.

    Args:
        collector: Takes the snapshots; the watcher closes it.
    """

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._changed = threading.Condition()
        self._until = 0.0
        self._snapshot: Snapshot | None = None
        self._error: SystemFailureError | None = None
        self._taken = 0.0
        self._is_closed = False
        self._thread = threading.Thread(
            target=self._run, name="distribute_challenge watcher", daemon=True
        )
        self._thread.start()

    def snapshot(self, watch_for: float) -> Snapshot:
        """Return the latest snapshot; wait for one if there is none of these seconds.

        Args:
            watch_for: Seconds to watch on after this.

        Raises:
            SystemFailureError: Redis does not answer.
        """
        deadline = clock.monotonic() + WAIT_AT_MOST
        with self._changed:
            self._until = max(self._until, clock.monotonic() + watch_for)
            self._changed.notify_all()
            while clock.monotonic() - self._taken > FRESH:
                if not self._changed.wait(max(0.0, deadline - clock.monotonic())):
                    raise SystemFailureError("Redis answers too slowly for a look at the cluster")
            if self._error is not None:
                raise self._error
            assert self._snapshot is not None
            return self._snapshot

    def close(self) -> None:
        """End the watch."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join()
        self._collector.close()

    def _run(self) -> None:
        while self._is_wanted():
            began = clock.monotonic()
            snapshot, error = None, None
            try:
                snapshot = self._collector.look()
            except SystemFailureError as failure:
                error = failure
            with self._changed:
                self._snapshot, self._error = snapshot, error
                self._taken = clock.monotonic()
                self._changed.notify_all()
                rest = LOOK_EVERY - (self._taken - began)
                if rest > 0 and not self._is_closed:
                    self._changed.wait_for(lambda: self._is_closed, rest)

    def _is_wanted(self) -> bool:
        """Wait until a look is wanted; False: the watcher was closed."""
        with self._changed:
            while not self._is_closed and clock.monotonic() >= self._until:
                self._changed.wait()
            return not self._is_closed
