"""What a run of chaos has shown, as text and as JSON."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.chaos.tally import Tally
from distribute_challenge.core.tables import table

__all__ = ["Result"]


@dataclass(frozen=True)
class Result:
    """A run of chaos.

    Args:
        seed: Of faults and load.
        workers: Workers, of one process each.
        began: Epoch seconds.
        seconds: From the start of the cluster to its end.
        tally: What became of the calls.
        hung: Calls that had not ended long after the last fault.
        problems: What else went wrong, in words.
        memory: Megabytes of this process, each minute.
    """

    seed: int
    workers: int
    began: float
    seconds: float
    tally: Tally
    hung: list[str]
    problems: list[str]
    memory: list[float]

    @property
    def passed(self) -> bool:
        """Whether every promise was kept."""
        return not (self.tally.lost or self.tally.wrong or self.hung or self.problems)

    def as_json(self) -> dict[str, Any]:
        """Everything, fit for `json`."""
        # Not by `asdict`, which makes something else of a `Counter`.
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "tally"}
        return {
            "passed": self.passed,
            **own,
            **{each.name: getattr(self.tally, each.name) for each in fields(self.tally)},
        }

    def save(self, path: Path) -> None:
        """Write it down, as JSON."""
        path.write_text(json.dumps(self.as_json(), indent=2) + "\n")

    def text(self) -> str:
        """What people read: counts, and a table of faults."""
        tally = self.tally
        counts = {
            "values": tally.values,
            **{f"  {name}": count for name, count in sorted(tally.errors.items())},
            "lost": tally.lost,
            "hung": len(self.hung),
            "wrong": tally.wrong,
            "run twice": tally.run_twice.total(),
        }
        rows = [
            [
                kind,
                tally.faults[kind],
                tally.run_twice[kind],
                _seconds(tally.recovery, kind),
                _seconds(tally.made_good, kind),
            ]
            for kind in sorted({*tally.faults, *tally.run_twice})
        ]
        lines = [
            f"seed {self.seed}, {self.workers} workers, {self.seconds:.0f} s",
            "",
            table(
                ["calls", f"{tally.calls:,}"],
                [[name, f"{count:,}"] for name, count in counts.items()],
                right=[1],
            ),
            "",
            table(
                ["fault", "times", "run twice", "recovery s", "made good s"],
                rows,
                right=range(1, 5),
            ),
        ]
        if self.memory:
            lines += [
                "",
                (
                    f"memory of this process: {self.memory[0]:.0f} MB after a minute, "
                    f"{self.memory[-1]:.0f} at the end"
                ),
            ]
        wrong = [*self.problems, *tally.examples, *(f"{call} hangs" for call in self.hung)]
        if wrong:
            lines += ["", "what went wrong:", *(f"  {text}" for text in wrong)]
        lines += ["", "passed" if self.passed else "FAILED"]
        return "\n".join(lines)


def _seconds(longest: dict[str, float], kind: str) -> str:
    return f"{longest[kind]:.1f}" if kind in longest else "-"
