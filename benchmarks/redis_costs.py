"""What a Redis server has done so far: commands, bytes and CPU time, as its ``INFO`` says."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

__all__ = ["CommandCosts", "RedisCosts"]

OWN = "info"  # The command that asks.


class CommandCosts(NamedTuple):
    """What one command has cost.

    Attributes:
        calls: How often it ran, also in scripts.
        microseconds: How long Redis ran it altogether; of scripts, with the commands in them.
    """

    calls: float
    microseconds: float


class RedisCosts(NamedTuple):
    """What a server has done so far, or between two moments.

    Attributes:
        commands: Its commands by name, without that which asks.
        received: Bytes that it read from its clients.
        sent: Bytes that it wrote to them.
        cpu: CPU time of its process, in seconds.
    """

    commands: Mapping[str, CommandCosts]
    received: float
    sent: float
    cpu: float

    @classmethod
    def now(cls, server: Any) -> Self:
        """Return what a server has done so far.

        Args:
            server: A client of redis-py.
        """
        stats, cpu = server.info("stats"), server.info("cpu")
        commands = {
            name.removeprefix("cmdstat_"): CommandCosts(found["calls"], found["usec"])
            for name, found in server.info("commandstats").items()
        }
        commands.pop(OWN, None)
        return cls(
            commands,
            stats["total_net_input_bytes"],
            stats["total_net_output_bytes"],
            cpu["used_cpu_user"] + cpu["used_cpu_sys"],
        )

    def since(self, earlier: Self) -> Self:
        """Return what the server did between an earlier moment and this one."""
        none = CommandCosts(0, 0)
        differences = {
            name: CommandCosts(
                *(
                    now - then
                    for now, then in zip(found, earlier.commands.get(name, none), strict=True)
                )
            )
            for name, found in self.commands.items()
        }
        return type(self)(
            {name: found for name, found in differences.items() if found.calls},
            self.received - earlier.received,
            self.sent - earlier.sent,
            self.cpu - earlier.cpu,
        )
