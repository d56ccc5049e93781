"""What grows, one thing at a time, and through which values."""

from dataclasses import dataclass, replace

from benchmarks.choosing import select

__all__ = ["IN_FLIGHT", "SWEEPS", "Setting", "Sweep", "chosen"]

IN_FLIGHT = 1_000  # Calls in flight in each client, where nothing else is said;
IN_FLIGHT_OF_WORKER = 500  # for each worker process, where those are what grows:
# With fewer calls for each, messages get smaller, and that would be measured instead.
BYTES_IN_FLIGHT = 250_000_000  # Bytes of the arguments in flight, if that is less.
MEGABYTE = 1_000_000
# What processes hold beside their arguments, and what a call in flight takes in its client: guesses
# on the safe side.
CLIENT, WORKER, CALL = 60 * MEGABYTE, 60 * MEGABYTE, 4_000
COPIES = 4  # Of each argument: the client's, the one in shared memory, a spare file, the worker's.


@dataclass(frozen=True)
class Setting:
    """One combination of what can grow.

    Attributes:
        workers: Worker processes.
        in_flight: Calls in flight in each client.
        size: Bytes of an argument; 0: a small number.
        clients: Client processes.
    """

    workers: int = 2
    in_flight: int = IN_FLIGHT
    size: int = 0
    clients: int = 1

    @property
    def memory(self) -> int:
        """Bytes of memory that it takes, about."""
        arguments = COPIES * self.size * min(self.in_flight, 2)
        return self.clients * (CLIENT + CALL * self.in_flight + arguments) + self.workers * WORKER


@dataclass(frozen=True)
class Sweep:
    """A quantity that grows.

    Attributes:
        name: Name for ``--only``, and the field of `Setting` that grows.
        title: Title of its chart.
        axis: What its values are.
        values: All values.
        quick: Those of ``--quick``.
        by_one: Whether latency is that of calls one by one; else that of the calls in flight.
        is_size: Whether the values are bytes.
    """

    name: str
    title: str
    axis: str
    values: tuple[int, ...]
    quick: tuple[int, ...]
    by_one: bool = True
    is_size: bool = False

    def setting(self, value: int, workers: int) -> Setting:
        """Return the setting for one value.

        Args:
            value: The value.
            workers: Worker processes, unless they are what grows.
        """
        setting = replace(Setting(workers=workers), **{self.name: value})
        if self.name == "workers":
            setting = replace(setting, in_flight=IN_FLIGHT_OF_WORKER * value)
        if self.is_size:
            most = max(1, BYTES_IN_FLIGHT // value)
            setting = replace(setting, in_flight=min(IN_FLIGHT, most))
        return setting


_SWEEPS = (
    Sweep(
        "workers",
        "What more worker processes bring",
        "worker processes",
        (1, 2, 4, 8, 16, 32, 64),
        (1, 2),
    ),
    Sweep(
        "in_flight",
        "What more calls in flight bring",
        "calls in flight, at most",
        (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000),
        (1, 100),
        by_one=False,
    ),
    Sweep(
        "size",
        "What larger arguments cost",
        "size of the argument",
        tuple(10**power for power in range(10)),
        (1, 100_000),
        is_size=True,
    ),
    Sweep(
        "clients",
        "What more clients bring",
        "client processes",
        (1, 2, 4, 8, 16, 32),
        (1, 2),
    ),
)

SWEEPS = {sweep.name: sweep for sweep in _SWEEPS}


def chosen(names: list[str]) -> list[Sweep]:
    """Return the sweeps of these names; all if no name is given.

    Raises:
        KeyError: No sweep has one of the names.
    """
    return select(SWEEPS, names, "sweep")
