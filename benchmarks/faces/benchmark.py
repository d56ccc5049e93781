"""The benchmark as a whole: what it measures, and what is to be reached."""

from benchmarks.faces import dask, engines, executor, joblib
from benchmarks.faces.targets import TARGETS
from benchmarks.sessions.side_by_side import SideBySide

__all__ = ["FACES"]

FACES = SideBySide(
    "faces",
    "Interfaces of others",
    [
        *executor.MEASUREMENTS,
        *joblib.MEASUREMENTS,
        *dask.MEASUREMENTS,
        *engines.MEASUREMENTS,
    ],
    TARGETS,
)
