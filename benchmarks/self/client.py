"""A second client, which submits calls that all take the same time.

    python -m benchmarks.self.client ADDRESS CALLS SECONDS

The process prints ``ready`` once a first call is back, and waits for a line. Then it makes all
calls, and prints how many seconds they took.
"""

import sys

from benchmarks.client_process import ClientProcess
from benchmarks.self.uneven import by_submit
from distribute_challenge import set_default_backend
from distribute_challenge.execution_backends.celery import CeleryExecutionBackend

__all__ = ["Client", "main"]


class Client(ClientProcess):
    """A second client, which submits calls when it is told to.

    Args:
        address: Address of the broker.
        calls: How many calls the client submits.
        seconds: How long each call takes.
    """

    def __init__(self, address: str, calls: int, seconds: float) -> None:
        super().__init__("benchmarks.self.client", address, str(calls), str(seconds))

    def go(self) -> None:
        """Let the client begin."""
        self.write("go")

    def seconds(self) -> float:
        """Wait for all calls, and return how many seconds they took."""
        return float(self.read())


def main(address: str, calls: int, seconds: float) -> None:
    """Make a first call, wait for a line, and then make and time all calls."""
    set_default_backend(CeleryExecutionBackend(address))
    by_submit([seconds])
    print("ready", flush=True)
    sys.stdin.readline()
    print(by_submit([seconds] * calls), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
