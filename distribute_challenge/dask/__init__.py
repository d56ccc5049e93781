"""Computes Dask's collections: arrays, bags, dataframes and delayed calls.

- `pieces` divides a graph into calls, and `calls` makes them.
- `computation` sends them as they become ready, as many at a time as `window` says.
- `piece_run` runs them on the worker.
- `callbacks` tells Dask's callbacks of them.
- `persisted` lets values stay on the cluster.
"""

from distribute_challenge.dask.client import Client
from distribute_challenge.dask.scheduler import get

__all__ = ["Client", "get"]
