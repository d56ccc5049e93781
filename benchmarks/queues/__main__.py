"""``python -m benchmarks.queues``: `Queue` and its consumers beside what others have.

    pip install -e ".[benchmarking]" distributed
    python -m benchmarks.queues --workers 2

What is not installed is left out.
"""

from benchmarks.queues.benchmark import QUEUES
from benchmarks.sessions.side_by_side_command import command

__all__ = ["main"]

main = command(QUEUES, "Measure queues and their consumers, beside what others have.")

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.queues")
