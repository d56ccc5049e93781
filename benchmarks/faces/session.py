"""Runs one system in a process of its own: ``python -m benchmarks.faces.session NAME WORKERS``."""

import sys

from benchmarks.faces.benchmark import FACES

if __name__ == "__main__":
    FACES.serve(sys.argv[1], int(sys.argv[2]))
