"""Takes one measurement in a process of its own, and prints its figures as JSON.

The runner starts it, with ``python -m benchmarks.self.where.session NAME WORKERS``.
"""

import json
import sys

from benchmarks.self.where.catalogue import CATALOGUE

__all__ = ["main"]


def main(name: str, workers: int) -> None:
    """Take the measurement, and print its figures."""
    found = CATALOGUE[name].load()(workers)
    print(json.dumps({f"{name}.{key}": value for key, value in found.items()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
