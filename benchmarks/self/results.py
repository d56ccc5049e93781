"""The results of a run: every raw value, the machine, and the revision of the library; as JSON."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

from benchmarks.machine import describe_machine
from benchmarks.self.figure import Figure, Series

__all__ = ["Results", "revision"]

PACKAGES = ("distribute_challenge", "celery", "kombu", "redis", "hiredis", "cloudpickle")


@dataclass
class Results:
    """The results of one run.

    Attributes:
        machine: Description by `describe_machine`, with the date.
        revision: Git revision, with ``-dirty`` appended if files were changed.
        versions: Versions of the packages that the figures depend on.
        options: Options of the run.
        series: Values of each figure by its name, in the order of the table.
        errors: Why a measurement has no figures, by its name.
    """

    machine: dict[str, Any]
    revision: str
    versions: dict[str, str]
    options: dict[str, Any]
    series: dict[str, Series] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_this_machine(cls, **options: Any) -> Self:
        """Return empty results for a run that begins now on this machine."""
        return cls(
            describe_machine(), revision(), {name: _version(name) for name in PACKAGES}, options
        )

    def add(self, figures: Iterable[Figure], values: Mapping[str, float]) -> None:
        """Add the numbers that a measurement yielded in one round.

        Args:
            figures: Figures of the measurement.
            values: A number for each of them, by name.
        """
        for figure in figures:
            before = self.series[figure.name].values if figure.name in self.series else ()
            self.series[figure.name] = Series(figure, (*before, values[figure.name]))

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain values for JSON.

        Titles and units are written with the figures, so that any version can read them.
        """
        figures = {
            name: asdict(each.figure) | {"values": list(each.values)}
            for name, each in self.series.items()
        }
        return {
            "machine": self.machine,
            "revision": self.revision,
            "versions": self.versions,
            "options": self.options,
            "figures": figures,
            "errors": self.errors,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Self:
        """Return the results that `as_json` described."""
        series = {}
        for name, told in found["figures"].items():
            about = dict(told)
            values = tuple(about.pop("values"))
            series[name] = Series(Figure(**about), values)
        return cls(
            found["machine"],
            found["revision"],
            found["versions"],
            found["options"],
            series,
            dict(found["errors"]),
        )

    def save(self, path: Path) -> None:
        """Write the results as JSON, and make the file's folder if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_json(), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        return cls.from_json(json.loads(path.read_text()))


def revision() -> str:
    """Return the revision of the checkout, as git describes it."""
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
