"""The recording of one run, as plain values: ``measuring`` writes it, ``results`` reads it.

Times are seconds since the run began (`Run.epoch` in the client's clock). Memory is in bytes. In
files, times of calls are whole microseconds.
"""

import csv
import json
import os
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from itertools import repeat
from pathlib import Path
from typing import IO, Any, Self

from distribute_challenge.core.timeline import Timeline
from distribute_challenge.errors import OptionError

__all__ = ["CALLS_FILE", "RUN_FILE", "Calls", "Plan", "Run", "Sample", "Step", "Usage"]

FORMAT = 1
RUN_FILE = "run.json"
CALLS_FILE = "calls.csv"
MICROSECONDS = 1_000_000  # In a second.


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The plan of a run: what the user asked for.

    Attributes:
        cluster: Kind of cluster: ``"compose"`` or ``"local"``.
        workload: ``"cpu"``, ``"sleep"``, ``"noop"`` or ``"payload"``.
        task_seconds: How long one call of ``cpu`` and ``sleep`` takes by itself.
        payload_bytes: Bytes that one call of ``payload`` carries there, and back.
        min_workers: Workers of the first step.
        max_workers: Workers of the last step.
        step: Workers from one step to the next.
        runtime: Seconds that each step measures.
        warm_up: Seconds under load before that.

    Examples:
        >>> plan = Plan(cluster="local", workload="noop", task_seconds=1.0, payload_bytes=0, min_workers=1,
        ...             max_workers=6, step=2, runtime=30.0, warm_up=5.0)
        >>> plan.sizes
        [1, 3, 5, 6]
    """

    cluster: str
    workload: str
    task_seconds: float
    payload_bytes: int
    min_workers: int
    max_workers: int
    step: int
    runtime: float
    warm_up: float

    @property
    def sizes(self) -> list[int]:
        """Workers of each step; the last is always `max_workers`."""
        return sorted({*range(self.min_workers, self.max_workers, self.step), self.max_workers})


@dataclass(frozen=True)
class Usage:
    """What one container, or one worker process, takes.

    Attributes:
        cpu: Cores, on average since the sample before.
        memory: Bytes, resident.
    """

    cpu: float
    memory: int


@dataclass(frozen=True)
class Sample:
    """The cluster at one moment.

    Attributes:
        time: When the sample was taken.
        messages: Messages in the queue; one carries one call or many.
        in_flight: Calls that the client has sent and that have not come back.
        connections: Connections to Redis by owner: ``"client"``, ``"workers"``.
        usage: What each container, or worker process, takes.
        others: Cores that other programs of the machine keep busy.
    """

    time: float
    messages: int
    in_flight: int
    connections: Mapping[str, int]
    usage: Mapping[str, Usage]
    others: float = 0.0


class Calls:
    """Timelines of many calls, a column for each stage: a million take 42 MB.

    Attributes:
        created, sent, started, finished, received: As in `Timeline`, but since the run began.
        worker: For each call, the index in ``workers`` of the worker that ran it.
        workers: Names of workers; a name may occur twice, if a process replaced another one.

    Examples:
        >>> calls = Calls()
        >>> calls.add(Timeline(101.0, 101.5, 102.0, 103.0, 103.5, "worker@host/7"), epoch=100.0)
        >>> len(calls), calls.started[0], calls.workers
        (1, 2.0, ['worker@host/7'])
    """

    COLUMNS = ("created", "sent", "started", "finished", "received")

    def __init__(self) -> None:
        self.created, self.sent, self.started, self.finished, self.received = (
            array("d") for _ in self.COLUMNS
        )
        self.worker = array("H")
        self.workers: list[str] = []
        self._places: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.worker)

    def add(self, timeline: Timeline, *, epoch: float) -> None:
        """Append one call."""
        self.created.append(timeline.created - epoch)
        self.sent.append(timeline.sent - epoch)
        self.started.append(timeline.started - epoch)
        self.finished.append(timeline.finished - epoch)
        self.received.append(timeline.received - epoch)
        place = self._places.get(timeline.worker)
        if place is None:
            place = self._places[timeline.worker] = len(self.workers)
            self.workers.append(timeline.worker)
        self.worker.append(place)

    def microseconds(self) -> list[list[int]]:
        """Return the columns as whole numbers: a third of the text, in a fifth of the time."""
        return [
            [round(value * MICROSECONDS) for value in getattr(self, name)] for name in self.COLUMNS
        ]

    def as_json(self) -> dict[str, list[Any]]:
        """Return the calls as plain lists, with times in microseconds."""
        columns = dict(zip(self.COLUMNS, self.microseconds(), strict=True))
        return {**columns, "worker": list(self.worker), "workers": self.workers}

    @classmethod
    def from_json(cls, columns: Mapping[str, list[Any]]) -> Self:
        """Make calls from what `as_json` returned."""
        calls = cls()
        for name in cls.COLUMNS:
            setattr(calls, name, array("d", [value / MICROSECONDS for value in columns[name]]))
        calls.worker = array("H", columns["worker"])
        calls.workers = list(columns["workers"])
        return calls


@dataclass
class Step:
    """What was seen at one size of the cluster.

    Attributes:
        workers: Number of workers.
        scaling: Seconds from the order to scale until exactly that many workers answered.
        opened: When measuring began, after the warm-up.
        closed: When it ended; calls that were in flight then were waited for.
        calls: Every call of the step that came back with a value, those of the warm-up too.
        samples: Samples, about one a second.
        failures: Number of calls that raised, by type and text of the exception.
        lost: Number of calls that never came back.
        complete: Whether the step was measured to its end.
    """

    workers: int
    scaling: float = 0.0
    opened: float = 0.0
    closed: float = 0.0
    calls: Calls = field(default_factory=Calls)
    samples: list[Sample] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    lost: int = 0
    complete: bool = False


@dataclass
class Run:
    """One run of the benchmark.

    Attributes:
        plan: What the user asked for.
        machine: Where the run took place, with which versions, and when: facts by name.
        epoch: When it began, in seconds since 1970.
        steps: Steps, in the order of their numbers of workers.
        spins: Loops of the ``cpu`` workload that take ``plan.task_seconds`` on a worker by itself;
            None: not measured.
        scaled_back: Seconds from the last size back to the first; None: not done.
    """

    plan: Plan
    machine: dict[str, str | int | float]
    epoch: float
    steps: list[Step] = field(default_factory=list)
    spins: int | None = None
    scaled_back: float | None = None

    @property
    def missing(self) -> list[int]:
        """Sizes of the plan that have not been measured to their end."""
        complete = {step.workers for step in self.steps if step.complete}
        return [size for size in self.plan.sizes if size not in complete]

    def put(self, step: Step) -> None:
        """Add a step; it replaces an earlier one of the same size."""
        self.steps = sorted(
            [*(s for s in self.steps if s.workers != step.workers), step], key=lambda s: s.workers
        )

    def save(self, folder: Path) -> Path:
        """Write ``run.json`` to a folder; an earlier file stays until the new one is complete.

        Returns:
            Path of the file.
        """
        document = {
            "format": FORMAT,
            **{name: getattr(self, name) for name in ("machine", "epoch", "spins", "scaled_back")},
            "plan": asdict(self.plan),
            "steps": [
                {
                    **{item.name: getattr(step, item.name) for item in fields(Step)},
                    "calls": step.calls.as_json(),
                    "samples": [asdict(sample) for sample in step.samples],
                }
                for step in self.steps
            ],
        }
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / RUN_FILE
        with _replacing(path) as file:
            json.dump(document, file, separators=(",", ":"))
        return path

    def save_calls(self, folder: Path) -> Path:
        """Write ``calls.csv`` to a folder: a line for each call.

        A line has the size of the cluster, and the times of the call in microseconds.

        Returns:
            Path of the file.
        """
        path = folder / CALLS_FILE
        with _replacing(path) as file:
            writer = csv.writer(file)
            writer.writerow(["workers", *(f"{name}_us" for name in Calls.COLUMNS), "worker"])
            for step in self.steps:
                names = [step.calls.workers[place] for place in step.calls.worker]
                writer.writerows(
                    zip(repeat(step.workers), *step.calls.microseconds(), names, strict=False)
                )
        return path

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Args:
            path: The JSON file.

        Raises:
            OptionError: The file is missing, or was not written by `save`.
        """
        try:
            document = json.loads(path.read_text())
        except OSError as error:
            raise OptionError(
                f"{path} cannot be read ({error.strerror}): give the {RUN_FILE} of a run"
            ) from None
        except ValueError as error:
            raise OptionError(
                f"{path} is not JSON ({error}): give the {RUN_FILE} of a run"
            ) from None
        found = document.get("format") if isinstance(document, dict) else None
        if found != FORMAT:
            raise OptionError(
                f"{path} has format {found!r}, expected {FORMAT}: give a {RUN_FILE} of this version"
            )
        return cls(
            plan=Plan(**document["plan"]),
            steps=[_step(step) for step in document["steps"]],
            **{name: document[name] for name in ("machine", "epoch", "spins", "scaled_back")},
        )


def _step(document: dict[str, Any]) -> Step:
    samples = [
        Sample(
            **{**sample, "usage": {name: Usage(**usage) for name, usage in sample["usage"].items()}}
        )
        for sample in document["samples"]
    ]
    return Step(**{**document, "calls": Calls.from_json(document["calls"]), "samples": samples})


@contextmanager
def _replacing(path: Path) -> Iterator[IO[str]]:
    """Open a draft to write, which replaces the file when the block ends without an error."""
    draft = path.with_name(path.name + ".part")
    with draft.open("w", newline="") as file:
        yield file
    os.replace(draft, path)
