"""What the environment says, read when it is asked for and never at import.

The table of all variables stands in ``docs/configuration.md``.
"""

import os
import re

__all__ = ["backend_name", "broker_url", "masked", "patience", "worker_count"]

BROKER_VARIABLES = ("DISTRIBUTE_CHALLENGE_BROKER_URL", "CELERY_BROKER_URL")
BACKEND_VARIABLE = "DISTRIBUTE_CHALLENGE_BACKEND"
PATIENCE_VARIABLE = "DISTRIBUTE_CHALLENGE_PATIENCE"
WORKERS_VARIABLE = "DISTRIBUTE_CHALLENGE_WORKERS"
DEFAULT_BACKEND = "celery"
DEFAULT_QUEUE = "distribute_challenge"

# To the last "@": a password may hold characters that should have been quoted. Rather too much hidden than too little.
_PASSWORD = re.compile(r"(?<=://)([^:@/]*):[^\s;]*@")
_PASSWORD_PARAMETER = re.compile(r"(?<=[?&]password=)[^&\s;]+")


def broker_url() -> str | None:
    """Address of the user's own cluster, or None: then the embedded cluster serves.

    Returns:
        The first of ``DISTRIBUTE_CHALLENGE_BROKER_URL`` and ``CELERY_BROKER_URL`` that is set and
        not empty.
    """
    for variable in BROKER_VARIABLES:
        if url := os.environ.get(variable, "").strip():
            return url
    return None


def backend_name() -> str:
    """Name of the backend for calls that do not say: ``DISTRIBUTE_CHALLENGE_BACKEND`` or ``"celery"``."""
    return os.environ.get(BACKEND_VARIABLE, "").strip() or DEFAULT_BACKEND


def worker_count() -> int:
    """Worker processes of pools and of the embedded cluster: one per core that this process may use.

    ``DISTRIBUTE_CHALLENGE_WORKERS`` overrides it.

    Raises:
        ValueError: The variable is set to something other than a whole number of at least 1.
    """
    text = os.environ.get(WORKERS_VARIABLE, "").strip()
    if text:
        if not text.isdecimal() or int(text) < 1:
            raise ValueError(
                f"{WORKERS_VARIABLE}={text!r} is not a number of worker processes; "
                f"set a whole number of at least 1, as in {WORKERS_VARIABLE}=4"
            )
        return int(text)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # pragma: no cover - only where affinity is unknown, as on macOS


def patience() -> float:
    """Seconds that an embedded cluster's worker gets to end what it runs when its client ends; 0: it is killed.

    ``DISTRIBUTE_CHALLENGE_PATIENCE`` sets it. Nobody waits for the results any more, so the default is 0.

    Raises:
        ValueError: The variable is set to something other than a number of at least 0.
    """
    text = os.environ.get(PATIENCE_VARIABLE, "").strip() or "0"
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds < 0:
        raise ValueError(f"{PATIENCE_VARIABLE}={text!r} is not a number of seconds; set it as in {PATIENCE_VARIABLE}=5")
    return seconds


def masked(url: str) -> str:
    """The same URL with its password replaced, fit for a message or a log.

    Example:
        >>> masked("redis://user:secret@example.org:6379/0")
        'redis://user:***@example.org:6379/0'
        >>> masked("redis://localhost")
        'redis://localhost'
    """
    return _PASSWORD_PARAMETER.sub("***", _PASSWORD.sub(r"\1:***@", url))
