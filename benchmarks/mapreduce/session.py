"""Runs one system in a process of its own: ``python -m benchmarks.mapreduce.session NAME WORKERS``."""

import sys

from benchmarks.mapreduce.benchmark import MAP_REDUCE

if __name__ == "__main__":
    MAP_REDUCE.serve(sys.argv[1], int(sys.argv[2]))
