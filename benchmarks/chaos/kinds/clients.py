"""Faults of another client, which has calls that wait and calls that run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos import victim
from benchmarks.chaos.kinds.kind import Kind
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.client_process import ClientProcess
from benchmarks.rig.rig import Rig
from distribute_challenge.errors import ClusterStartError

__all__ = ["CLIENTS", "CLIENT_WITHIN", "another_client", "has_its_values"]

CLIENT_WITHIN = 60.0  # Seconds for a client to have submitted its calls, or to end.


@contextmanager
def another_client(rig: Rig, **variables: str) -> Iterator[ClientProcess]:
    """A client that has submitted calls and waits for them; gone behind the block.

    Args:
        rig: Whose client it is.
        variables: More of its environment.
    """
    output = Path(rig.folder, "victim.log")
    output.unlink(missing_ok=True)
    environment = {**rig.client_environment, **variables}
    client = ClientProcess(["-m", victim.__name__], output=output, environment=environment)
    try:
        client.wait_for(victim.SUBMITTED, within=CLIENT_WITHIN)
        yield client
    finally:
        client.close()


def has_its_values(client: ClientProcess) -> None:
    """Wait until a client has got what its calls give, detached ones and those of a map among them.

    Raises:
        ClusterStartError: It has not.
    """
    if code := client.wait(within=CLIENT_WITHIN):
        raise ClusterStartError(
            f"another client ended with exit code {code}; it wrote:\n{client.output}"
        )


@contextmanager
def client_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    with another_client(rig) as client:
        yield
        client.kill()


@contextmanager
def client_interrupted(rig: Rig, fault: Fault) -> Iterator[None]:
    with another_client(rig) as client:
        yield
        client.interrupt()
        client.wait(within=CLIENT_WITHIN)


CLIENTS = {
    "client killed": Kind(client_killed, (0.0, 1.0)),
    "client interrupted": Kind(client_interrupted, (0.0, 1.0)),
}
