"""What a fault of each kind does to a rig, how long it lasts when it is drawn at random, and which
errors it excuses.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from distribute_challenge.benchmarking.faults import victim
from distribute_challenge.benchmarking.faults.client_process import ClientProcess
from distribute_challenge.benchmarking.faults.proxy import Proxy
from distribute_challenge.benchmarking.faults.rig import Rig
from distribute_challenge.benchmarking.faults.schedule import Fault
from distribute_challenge.benchmarking.faults.worker_process import WorkerProcess

__all__ = ["KINDS", "Kind"]

END_WITHIN = 60.0  # Seconds for a worker that was told to end; its longest call takes one.
SLOW = 0.1  # Seconds more in each direction, on a line that is slow.
CLIENT_WITHIN = 60.0  # Seconds for a client to have submitted its calls.

Effect = Callable[[Rig, Fault], AbstractContextManager[None]]


@dataclass(frozen=True)
class Kind:
    """A kind of fault.

    Args:
        effect: Makes it begin, and end when its block is left.
        lasts: Seconds that it lasts at least and at most, when drawn at random.
        excuses: Names of the errors in which calls may end that were on their way.
    """

    effect: Effect
    lasts: tuple[float, float] = (0.0, 0.0)
    excuses: tuple[str, ...] = ()


def _worker(rig: Rig, fault: Fault) -> WorkerProcess:
    return rig.workers[fault.on % len(rig.workers)]


@contextmanager
def worker_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    """All processes of a worker at once, as when its machine or its container goes."""
    worker = _worker(rig, fault)
    worker.kill()
    yield
    worker.start()


@contextmanager
def all_workers_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    for worker in rig.workers:
        worker.kill()
    yield
    for worker in rig.workers:
        worker.start()


@contextmanager
def process_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    """A process that runs calls, as the kernel does that is short of memory."""
    _worker(rig, fault).kill_child()
    yield


@contextmanager
def worker_frozen(rig: Rig, fault: Fault) -> Iterator[None]:
    worker = _worker(rig, fault)
    worker.freeze()
    yield
    worker.thaw()


@contextmanager
def worker_ended(rig: Rig, fault: Fault) -> Iterator[None]:
    """As in a rolling restart: it finishes what it runs, and another takes its place."""
    worker = _worker(rig, fault)
    worker.end(within=END_WITHIN)
    yield
    worker.start()


@contextmanager
def all_workers_restarted(rig: Rig, fault: Fault) -> Iterator[None]:
    """One after the other, each when the one before is back."""
    for worker in rig.workers:
        worker.end(within=END_WITHIN)
        worker.start()
        worker.wait_until_ready()
    yield


@contextmanager
def redis_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    rig.redis.kill()
    yield
    rig.redis.start()


@contextmanager
def redis_emptied(rig: Rig, fault: Fault) -> Iterator[None]:
    rig.redis.empty()
    yield


@contextmanager
def redis_full(rig: Rig, fault: Fault) -> Iterator[None]:
    rig.redis.fill()
    yield
    rig.redis.free()


@contextmanager
def client_killed(rig: Rig, fault: Fault) -> Iterator[None]:
    """Another client, with calls that wait and calls that run."""
    client = _another_client(rig)
    yield
    client.kill()


@contextmanager
def client_interrupted(rig: Rig, fault: Fault) -> Iterator[None]:
    client = _another_client(rig)
    yield
    client.interrupt()
    client.wait(within=CLIENT_WITHIN)


def _another_client(rig: Rig) -> ClientProcess:
    output = Path(rig.diary.folder.parent, "victim.log")
    output.unlink(missing_ok=True)
    client = ClientProcess(
        ["-m", victim.__name__], output=output, environment=rig.client_environment
    )
    client.wait_for(victim.SUBMITTED, within=CLIENT_WITHIN)
    return client


def _on_line(line: Callable[[Rig], Proxy], harm: Callable[[Proxy], None]) -> Effect:
    @contextmanager
    def effect(rig: Rig, fault: Fault) -> Iterator[None]:
        harm(line(rig))
        yield
        line(rig).heal()

    return effect


def _client_line(rig: Rig) -> Proxy:
    return rig.client_line


def _worker_line(rig: Rig) -> Proxy:
    return rig.worker_line


def _on_both(
    harm: str, lasts: tuple[float, float], orders: Callable[[Proxy], None]
) -> dict[str, Kind]:
    # A call that is waited for with `compute` is sent by the caller's own thread, which is told at
    # once that it cannot be.
    unreachable = ("BrokerUnreachableError",)
    return {
        f"client line {harm}": Kind(_on_line(_client_line, orders), lasts, unreachable),
        f"worker line {harm}": Kind(_on_line(_worker_line, orders), lasts, _WORKER_LOST),
    }


# Three deaths end a call, also when they come from outside, one after the other.
_WORKER_LOST = ("WorkerLostError",)

KINDS = {
    "worker killed": Kind(worker_killed, (0.0, 3.0), _WORKER_LOST),
    "all workers killed": Kind(all_workers_killed, (0.0, 3.0), _WORKER_LOST),
    "process killed": Kind(process_killed, excuses=_WORKER_LOST),
    "worker frozen": Kind(worker_frozen, (1.0, 15.0), _WORKER_LOST),
    "worker ended": Kind(worker_ended, (0.0, 2.0)),
    "all workers restarted": Kind(all_workers_restarted),
    "redis killed": Kind(redis_killed, (1.0, 10.0), ("BrokerUnreachableError", "WorkerLostError")),
    "redis emptied": Kind(redis_emptied, excuses=("TaskLostError", "ValueLostError")),
    "redis full": Kind(redis_full, (1.0, 5.0), ("BrokerFullError",)),
    "client killed": Kind(client_killed, (0.0, 1.0)),
    "client interrupted": Kind(client_interrupted, (0.0, 1.0)),
    **_on_both("cut", (0.0, 0.0), Proxy.cut),
    **_on_both("refused", (1.0, 10.0), Proxy.refuse),
    # Until somebody notices: nothing of what was there comes back to life before.
    **_on_both("half-open", (20.0, 20.0), Proxy.silence),
    **_on_both("dead", (1.0, 20.0), lambda line: line.silence(new=True)),
    **_on_both("slow", (2.0, 5.0), lambda line: line.slow_down(SLOW)),
}
