"""`attach`: returns to a call that was submitted with ``detach=True``."""

from typing import Any

from distribute_challenge.core.folding import folded
from distribute_challenge.core.futures import Future
from distribute_challenge.errors import OptionError
from distribute_challenge.execution_backends.registry import Choice, resolve

__all__ = ["attach"]


def attach(id: str, backend: Choice = None) -> Future[Any]:  # noqa: A002 - what a future calls it
    """Return the future of a detached call.

    Any process that uses the same cluster may call it, any number of times.

    Args:
        id: The ``id`` of the future that ``submit(detach=True)`` returned.
        backend: As for `Distributable.compute`.

    Returns:
        A future that resolves like the one that ``submit`` returned: to the call's value, its
            exception, or an error. The error is a `TaskLostError` if there is no such call, or no
            more.

    Raises:
        BackendError: The backend ends with its process, and so has no detached calls.
        BrokerUnreachableError: The broker does not answer.
        OptionError: ``id`` is not a string.

    Examples:
        >>> from distribute_challenge import LocalCluster, attach, compute_this
        >>> from distribute_challenge.execution_backends.celery import CeleryExecutionBackend
        >>> square = compute_this(lambda x: x * x)
        >>> with LocalCluster(workers=1) as cluster:
        ...     with CeleryExecutionBackend(cluster.broker_url) as backend:  # As another process has it.
        ...         id = square(3).submit(backend, detach=True).id
        ...         attach(id, backend).result(timeout=20)
        9
    """
    with folded:
        if not isinstance(id, str):
            raise OptionError(f"attach({id!r}): expected the text that future.id gave")
        return resolve(backend).attach(id)
