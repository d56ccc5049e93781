"""Workers and values are harmed while a map-reduce runs: it gives the right pairs."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chaos.player import Player
from benchmarks.chaos.schedule import Fault
from benchmarks.rig.diary import note
from benchmarks.rig.rig import Rig
from distribute_challenge import map_reduce
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.stores.shared_memory import UNFINISHED
from tests.faults.conftest import Make
from tests.faults.promises import BUSY, MADE_GOOD
from tests.processes import wait_until

pytestmark = pytest.mark.slow

ITEMS, PARTITIONS, KEYS = 24, 8, 40
SECONDS = 0.15  # Of each item, and of each key.
LIMIT = MADE_GOOD + (ITEMS + KEYS) * SECONDS + 5 * BUSY
LARGE = 5_000  # Copies of a number with which what a call gives does not travel in a message.


class Run:
    """A map-reduce whose pairs are read by a thread, and whose calls note their begin."""

    def __init__(self, rig: Rig, backend: ExecutionBackend, copies: int) -> None:
        self._rig = rig
        diary = str(rig.diary.folder)

        def mapper(item: int) -> Iterator[tuple[int, list[int]]]:
            note(diary, f"map-{item}")
            time.sleep(SECONDS)
            for key in range(KEYS):
                yield key, [item * key] * copies

        def reducer(key: int, values: Iterator[list[int]]) -> int:
            note(diary, f"reduce-{key}")
            time.sleep(SECONDS)
            return sum(map(sum, values))

        self._copies = copies
        self._pairs = map_reduce(
            mapper, range(ITEMS), reducer=reducer, partitions=PARTITIONS, backend=backend
        )
        self._found: list[tuple[int, int]] | BaseException = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self._found = list(self._pairs)
        except BaseException as error:
            self._found = error

    def begun(self) -> Counter[str]:
        return Counter(entry.call.partition("-")[0] for entry in self._rig.diary.all())

    def wait_for(self, kind: str, count: int) -> None:
        wait_until(lambda: self.begun()[kind] >= count, f"the begin of {kind} number {count}")

    def check(self) -> None:
        """Wait for the end; each key came once, with its right result."""
        self._thread.join(LIMIT)
        assert not self._thread.is_alive()
        assert not isinstance(self._found, BaseException), self._found
        total = sum(range(ITEMS)) * self._copies
        assert sorted(self._found) == [(key, key * total) for key in range(KEYS)]


@pytest.fixture(params=[1, LARGE], ids=["small values", "large values"])
def copies(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.deadline(200)
def test_a_map_reduce_survives_deaths_of_workers_in_both_phases(make: Make, copies: int) -> None:
    rig, backend = make(workers=3)
    run = Run(rig, backend, copies)
    for worker, kind in zip(rig.workers, ["map", "map", "reduce"], strict=True):
        run.wait_for(kind, 4)
        worker.kill()
        worker.start()
    run.check()


@pytest.mark.deadline(200)
@pytest.mark.parametrize(("kind", "count"), [("map", ITEMS // 2), ("reduce", 1)])
def test_a_map_reduce_survives_an_emptied_redis(
    make: Make, copies: int, kind: str, count: int
) -> None:
    rig, backend = make(workers=2)
    run = Run(rig, backend, copies)
    run.wait_for(kind, count)
    Player(rig).play([Fault("redis emptied", at=0)])
    run.check()


@pytest.mark.deadline(200)
@pytest.mark.parametrize(("kind", "count"), [("map", ITEMS // 2), ("map", ITEMS), ("reduce", 1)])
def test_a_map_reduce_survives_the_loss_of_the_output_of_its_mappers(
    make: Make, kind: str, count: int
) -> None:
    """Its calls run again, and no others."""
    rig, backend = make(workers=2)
    run = Run(rig, backend, LARGE)
    run.wait_for(kind, count)
    depot = backend.depot()
    assert depot is not None
    folders = [Path(name.removeprefix("folder:")) for name in depot.names if "folder:" in name]
    deleted = []
    for folder in folders:
        for path in folder.iterdir():
            if not path.name.endswith(".lock") and not path.name.startswith(UNFINISHED):
                path.unlink(missing_ok=True)
                deleted.append(path)
    assert deleted
    run.check()
    assert kind != "map" or run.begun()["map"] > ITEMS
