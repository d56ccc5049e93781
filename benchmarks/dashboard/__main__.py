"""``python -m benchmarks.dashboard``."""

import argparse
from pathlib import Path
from statistics import median

from benchmarks.dashboard import cost, pictures
from benchmarks.dashboard.chromium import program
from benchmarks.machine import describe_machine, in_a_line

__all__ = ["main"]


def main() -> None:
    """Measure what watching costs, or make the pictures of the documentation."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dashboard",
        description="Measures what it costs to watch a cluster: the same work watched and not "
        "watched, in turns. With --pictures it makes the pictures of docs/dashboard.md and "
        "docs/watching.md instead.",
    )
    parser.add_argument("--calls", type=int, default=300_000, help="short calls in a map")
    parser.add_argument("--rounds", type=int, default=8, help="pairs of rounds")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="where pictures go")
    options = parser.parse_args()
    if options.pictures is not None:
        browser = program()
        if browser is None:
            parser.error("no Chromium is installed; Debian's package is called chromium")
        for path in pictures.take(browser, options.pictures):
            print(path)
        return
    machine = describe_machine()
    figures, looking = cost.measured(options.calls, options.rounds)
    print(f"{in_a_line(machine)}, load {machine['load_average_before']}\n")
    print("| work | CPU s, not watched | CPU s, watched | ratio |")
    print("| --- | --- | --- | --- |")
    for name, (unwatched, watched) in figures.items():
        print(
            f"| {name} | {median(unwatched):.2f} ({min(unwatched):.2f} to {max(unwatched):.2f}) "
            f"| {median(watched):.2f} ({min(watched):.2f} to {max(watched):.2f}) "
            f"| {cost.ratio(unwatched, watched):.3f} |"
        )
    print(f"\nThe watcher itself took {looking:.1%} of a core.")


if __name__ == "__main__":
    main()
