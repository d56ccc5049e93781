"""Which cluster a worker's child process belongs to, for calls that use its queues."""

__all__ = ["join_cluster", "worker_cluster"]

_urls: list[str] = []


def join_cluster(url: str) -> None:
    """Record the broker of the worker that this process belongs to."""
    _urls[:] = [url]


def worker_cluster() -> str | None:
    """Return the broker of the worker that this process belongs to; None if it is no worker's."""
    return _urls[0] if _urls else None
