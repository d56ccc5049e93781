"""Keeps a cluster busy from one client, with a bounded number of calls in flight."""

import concurrent.futures
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from distribute_challenge.benchmarking.recording import Calls
from distribute_challenge.core.condition import Event
from distribute_challenge.core.futures import Future
from distribute_challenge.errors import SystemFailureError

__all__ = ["Feeder"]

LOOK_EVERY = 0.1  # The longest time between two calls of `watch`, in seconds.
LONGEST_TEXT = 200  # Characters kept of an exception.
# Share of the limit: with fewer calls in flight, the feeder wakes up. Waking it for each call would
# cost more than the call.
REFILL = 0.75


class Feeder:
    """Sends a new call for each that comes back, and records what became of it.

    Guarantees:

    - Never more than ``limit`` calls are in flight.
    - ``_lock`` protects what is recorded when a call comes back. That happens in the thread that
      resolves futures, or in the caller's thread if the call is already back when the caller
      registers `_take`.

    Args:
        submit: Sends the next call.
        limit: How many calls may be in flight.
        epoch: When recorded times are 0, in seconds since 1970.

    Attributes:
        calls: Calls that came back with a value.
        failures: Number of calls that raised, by type and text of the exception.
    """

    def __init__(self, submit: Callable[[], Future[Any]], limit: int, *, epoch: float) -> None:
        self.calls = Calls()
        self.failures: Counter[str] = Counter()
        self._submit = submit
        self._limit = limit
        self._low = max(int(limit * REFILL), 1) if limit > 1 else 0
        self._epoch = epoch
        self._sent = 0
        self._returned = 0
        self._closed = False
        self._room = Event()
        self._lock = threading.Lock()

    @property
    def in_flight(self) -> int:
        """Calls that were sent and have not come back."""
        return self._sent - self._returned

    @property
    def returned(self) -> int:
        """Calls that have come back."""
        return self._returned

    def feed(self, seconds: float, watch: Callable[[], None]) -> None:
        """Keep the cluster busy.

        Args:
            seconds: How long, in seconds.
            watch: Called about every `LOOK_EVERY` seconds; what it raises ends the feeding.
        """
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._room.clear()
            for _ in range(self._limit - self.in_flight):
                future = self._submit()
                self._sent += 1
                future.when_done(self._take)
            watch()
            if self.in_flight > self._low:
                self._room.wait(min(left, LOOK_EVERY))

    def drain(self, watch: Callable[[], None], *, patience: float) -> None:
        """Send no more calls, and wait for those in flight.

        Args:
            watch: As for `feed`.
            patience: Seconds that may pass without a single call coming back.

        Raises:
            SystemFailureError: No call came back for that long.
        """
        seen, since = self._returned, time.monotonic()
        self._low = 0
        while self.in_flight:
            self._room.clear()
            watch()
            if self._returned != seen:
                seen, since = self._returned, time.monotonic()
            elif time.monotonic() - since > patience:
                raise SystemFailureError(
                    f"{self.in_flight} calls are on their way and none came back for {patience:g} "
                    f"s: "
                    f"look at the workers' logs, and whether anything else uses this cluster"
                )
            if self.in_flight:
                self._room.wait(LOOK_EVERY)

    def close(self) -> None:
        """Record nothing more, whatever still comes back."""
        with self._lock:
            self._closed = True

    def _take(self, future: "concurrent.futures.Future[Any]") -> None:
        assert isinstance(future, Future)
        with self._lock:
            if self._closed or future.cancelled():
                return
            error, timeline = future.exception(), future.timeline
            self._returned += 1
            if error is not None:
                self.failures[
                    f"{type(error).__name__}: {error}".partition("\n")[0][:LONGEST_TEXT]
                ] += 1
            else:
                assert timeline is not None, "the Celery backend measures"
                self.calls.add(timeline, epoch=self._epoch)
        if self.in_flight <= self._low:
            self._room.set()
