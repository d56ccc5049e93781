"""Takes one measurement in a process of its own, and prints its figures as JSON.

The runner starts it, with ``python -m benchmarks.self.session NAME WORKERS``.
"""

import json
import sys

from benchmarks.self.catalogue import CATALOGUE

__all__ = ["main"]


def main(name: str, workers: int) -> None:
    """Take the measurement, and print its figures."""
    print(json.dumps(CATALOGUE[name].load()(workers)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
