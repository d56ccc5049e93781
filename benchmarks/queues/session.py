"""Runs one system in a process of its own: ``python -m benchmarks.queues.session NAME WORKERS``."""

import sys

from benchmarks.queues.benchmark import QUEUES

if __name__ == "__main__":
    QUEUES.serve(sys.argv[1], int(sys.argv[2]))
