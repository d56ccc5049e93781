"""The joblib backend ``"distribute_challenge"``, which this import registers.

    Parallel ──► DistributeChallengeBackend ──► Jobs ──► the engine
                                                           │
    worker:  joblib_batch, in the process that is there ◄──┘

Examples:
    >>> from math import sqrt
    >>> import joblib
    >>> import distribute_challenge.joblib
    >>> with joblib.parallel_config(backend="distribute_challenge"):
    ...     joblib.Parallel()(joblib.delayed(sqrt)(number) for number in [1, 4, 9])
    [1.0, 2.0, 3.0]
"""

from distribute_challenge.joblib.backend import DistributeChallengeBackend

__all__ = ["DistributeChallengeBackend"]
