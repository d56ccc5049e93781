"""Tells which tests run on a cluster of Dask or Ray, by the names of the tests."""

import re

__all__ = ["cluster_of"]

_PARAMETER = re.compile(r"\[(?:.*-)?(dask|ray)(?:-.*)?\]$")
_FILE = re.compile(r"/clusters/test_(dask|ray)\.py::")


def cluster_of(nodeid: str) -> str | None:
    """Return the kind of cluster that a test needs; None: neither."""
    found = _PARAMETER.search(nodeid) or _FILE.search(nodeid)
    return found and found[1]
