"""``python -m benchmarks.faces``: the library behind interfaces of others.

    pip install -e ".[joblib,dask,ray]" loky scikit-learn pandas pyarrow
    python -m benchmarks.faces --workers 2
    python -m benchmarks.faces --only roots,grid_search

With one worker process, joblib runs its calls in the process that makes them.
"""

from benchmarks.faces.benchmark import FACES
from benchmarks.sessions.side_by_side_command import command

__all__ = ["main"]

main = command(FACES, "Measure the library behind interfaces of others, beside what these run on.")

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.faces")
