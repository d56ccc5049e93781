"""Errors that code written for the standard library catches as `BrokenProcessPool`, too.

To import this module takes as long as to import half of this library, because `BrokenProcessPool`
brings `multiprocessing`. So it is imported when such an error is made.
"""

from concurrent.futures.process import BrokenProcessPool

from distribute_challenge.errors import SetupError as _SetupError
from distribute_challenge.errors import WorkerLostError as _WorkerLostError

__all__ = ["SetupError", "WorkerLostError"]


class WorkerLostError(_WorkerLostError, BrokenProcessPool):
    """`errors.WorkerLostError` that is also a `BrokenProcessPool`."""


class SetupError(_SetupError, BrokenProcessPool):
    """`errors.SetupError` that is also a `BrokenProcessPool`."""
