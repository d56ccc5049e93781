"""Divides the tests among the processes of pytest-xdist."""

from xdist.scheduler import LoadScopeScheduling

from tests.cluster_names import cluster_of

__all__ = ["ClusterScheduling"]


class ClusterScheduling(LoadScopeScheduling):
    """Divides by file, as `--dist loadscope` does, but keeps the tests on Dask and Ray together.

    Their clusters take many seconds to start.
    """

    def _split_scope(self, nodeid: str) -> str:
        """Return what the tests of one process have in common; pytest-xdist asks for it."""
        return cluster_of(nodeid) or super()._split_scope(nodeid)
