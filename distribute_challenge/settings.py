"""Settings from environment variables, read when they are needed and never at import.

``docs/configuration.md`` has a table of all variables.
"""

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "allow_root",
    "attempts",
    "backend_name",
    "broker_timeout",
    "broker_url",
    "dashboard_token",
    "data_file_limit",
    "data_limit",
    "encrypt",
    "full_tracebacks",
    "insecure",
    "logs",
    "masked",
    "patience",
    "secret",
    "secret_file",
    "shared_folder",
    "shuffle_memory",
    "store_url",
    "value_cache",
    "worker_count",
]

BROKER_VARIABLES = ("DISTRIBUTE_CHALLENGE_BROKER_URL", "CELERY_BROKER_URL")
ALLOW_ROOT_VARIABLE = "DISTRIBUTE_CHALLENGE_ALLOW_ROOT"
ATTEMPTS_VARIABLE = "DISTRIBUTE_CHALLENGE_ATTEMPTS"
BROKER_TIMEOUT_VARIABLE = "DISTRIBUTE_CHALLENGE_BROKER_TIMEOUT"
BACKEND_VARIABLE = "DISTRIBUTE_CHALLENGE_BACKEND"
DASHBOARD_TOKEN_VARIABLE = "DISTRIBUTE_CHALLENGE_DASHBOARD_TOKEN"
DATA_FILE_LIMIT_VARIABLE = "DISTRIBUTE_CHALLENGE_DATA_FILE_LIMIT"
DATA_LIMIT_VARIABLE = "DISTRIBUTE_CHALLENGE_DATA_LIMIT"
ENCRYPT_VARIABLE = "DISTRIBUTE_CHALLENGE_ENCRYPT"
FULL_TRACEBACKS_VARIABLE = "DISTRIBUTE_CHALLENGE_FULL_TRACEBACKS"
INSECURE_VARIABLE = "DISTRIBUTE_CHALLENGE_INSECURE"
LOGS_VARIABLE = "DISTRIBUTE_CHALLENGE_LOGS"
PATIENCE_VARIABLE = "DISTRIBUTE_CHALLENGE_PATIENCE"
SECRET_VARIABLE = "DISTRIBUTE_CHALLENGE_SECRET"
SECRET_FILE_VARIABLE = "DISTRIBUTE_CHALLENGE_SECRET_FILE"
SHARED_FOLDER_VARIABLE = "DISTRIBUTE_CHALLENGE_SHARED_FOLDER"
SHUFFLE_MEMORY_VARIABLE = "DISTRIBUTE_CHALLENGE_SHUFFLE_MEMORY"
STORE_VARIABLE = "DISTRIBUTE_CHALLENGE_STORE"
VALUE_CACHE_VARIABLE = "DISTRIBUTE_CHALLENGE_VALUE_CACHE"
WORKERS_VARIABLE = "DISTRIBUTE_CHALLENGE_WORKERS"
DEFAULT_BACKEND = "celery"
DEFAULT_QUEUE = "distribute_challenge"
DEFAULT_ATTEMPTS = 3
DEFAULT_BROKER_TIMEOUT = 60.0  # Seconds.
DEFAULT_DATA_FILE_LIMIT = 1_000_000  # Bytes.
DEFAULT_DATA_LIMIT = 5_000_000

SHARED_MEMORY = "/dev/shm"
CONTAINER_MEMORY = "/sys/fs/cgroup/memory.max"  # Bytes that the container may use, or "max".
LARGEST_VALUE_CACHE = 4 << 30  # Bytes; a guess.
LARGEST_SHUFFLE_MEMORY = 1 << 30  # The same.

# To the last "@": a password may contain characters that should have been quoted. It is better to
# hide too much than too little.
_PASSWORD = re.compile(r"(?<=://)([^:@/]*):[^\s;]*@")
_PASSWORD_PARAMETER = re.compile(r"(?<=[?&]password=)[^&\s;]+")


def broker_url() -> str | None:
    """Return the address of the user's own cluster; None: the embedded cluster runs the calls.

    Returns:
        The first of ``DISTRIBUTE_CHALLENGE_BROKER_URL`` and ``CELERY_BROKER_URL`` that is set and
        not empty.
    """
    for variable in BROKER_VARIABLES:
        if url := os.environ.get(variable, "").strip():
            return url
    return None


def broker_timeout() -> float:
    """Return the seconds for which calls wait for an unavailable Redis before they fail.

    Redis is unavailable if it does not answer or refuses commands.
    ``DISTRIBUTE_CHALLENGE_BROKER_TIMEOUT`` sets it; the default is 60.

    Raises:
        ValueError: The variable is set to something other than a number above 0.
    """
    return _seconds(BROKER_TIMEOUT_VARIABLE, DEFAULT_BROKER_TIMEOUT, example=60)


def backend_name() -> str:
    """Return the default backend's name: ``DISTRIBUTE_CHALLENGE_BACKEND``, or ``"celery"``."""
    return os.environ.get(BACKEND_VARIABLE, "").strip() or DEFAULT_BACKEND


def worker_count() -> int:
    """Return the number of worker processes of pools and of the embedded cluster.

    The default is one for each core that this process may use; ``DISTRIBUTE_CHALLENGE_WORKERS``
    overrides it.

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
    """Return the seconds that an embedded worker has to finish its calls when its client ends.

    0: it is killed at once. ``DISTRIBUTE_CHALLENGE_PATIENCE`` sets it. The default is 0, because no
    caller waits for the results any more.

    Raises:
        ValueError: The variable is set to something other than a number of at least 0.
    """
    return _seconds(PATIENCE_VARIABLE, 0.0, example=5, may_be_zero=True)


def attempts() -> int:
    """Return how often a call is begun in all, if the process or worker that runs it always dies.

    ``DISTRIBUTE_CHALLENGE_ATTEMPTS`` sets it; the default is 3.

    Raises:
        ValueError: The variable is set to something other than a whole number of at least 1.
    """
    text = os.environ.get(ATTEMPTS_VARIABLE, "").strip()
    if not text:
        return DEFAULT_ATTEMPTS
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(
            f"{ATTEMPTS_VARIABLE}={text!r} is not a number of attempts; "
            f"set a whole number of at least 1, as in {ATTEMPTS_VARIABLE}=3"
        )
    return int(text)


def secret() -> str | None:
    """Return the secret of the user's own cluster: ``DISTRIBUTE_CHALLENGE_SECRET``, or None."""
    return os.environ.get(SECRET_VARIABLE, "").strip() or None


def secret_file() -> "Path | None":
    """Return the file with the secret: ``DISTRIBUTE_CHALLENGE_SECRET_FILE``, or None."""
    from pathlib import Path

    text = os.environ.get(SECRET_FILE_VARIABLE, "").strip()
    return Path(text) if text else None


def insecure() -> bool:
    """Whether clusters without a secret are allowed: ``DISTRIBUTE_CHALLENGE_INSECURE=1``.

    Raises:
        ValueError: The variable is neither 0 nor 1.
    """
    return _switch(INSECURE_VARIABLE)


def encrypt() -> bool:
    """Whether what travels through Redis is encrypted: ``DISTRIBUTE_CHALLENGE_ENCRYPT=1``.

    Raises:
        ValueError: The variable is neither 0 nor 1.
    """
    return _switch(ENCRYPT_VARIABLE)


def allow_root() -> bool:
    """Whether a worker may run as root, in a container too: ``DISTRIBUTE_CHALLENGE_ALLOW_ROOT=1``.

    Raises:
        ValueError: The variable is neither 0 nor 1.
    """
    return _switch(ALLOW_ROOT_VARIABLE)


def full_tracebacks() -> bool:
    """Whether tracebacks show the library's frames: ``DISTRIBUTE_CHALLENGE_FULL_TRACEBACKS=1``.

    It is called while an exception is being raised, and must not raise another one in its place: so
    every value but 0 shows them.
    """
    return (os.environ.get(FULL_TRACEBACKS_VARIABLE, "").strip() or "0") != "0"


def logs() -> bool | None:
    """Whether this process shows what its calls print and log on Celery workers.

    ``DISTRIBUTE_CHALLENGE_LOGS`` sets it.

    Returns:
        None if it is not set: then lines from an embedded cluster are shown, and those from the
        user's own cluster are not.

    Raises:
        ValueError: The variable is neither 0 nor 1.
    """
    return _switch(LOGS_VARIABLE) if os.environ.get(LOGS_VARIABLE, "").strip() else None


def _switch(variable: str) -> bool:
    text = os.environ.get(variable, "").strip() or "0"
    if text not in ("0", "1"):
        raise ValueError(f"{variable}={text!r} is no choice; set {variable}=1, or leave it out")
    return text == "1"


def shared_folder() -> "Path | None":
    """Return the folder of shared memory, for large values that stay on this machine.

    It is None if there is no such folder. ``DISTRIBUTE_CHALLENGE_SHARED_FOLDER`` sets it. The
    default is ``/dev/shm``; on macOS, which has none, the folder of temporary files, whose content
    the system keeps in memory as long as it has room.

    Raises:
        ValueError: The variable names something other than a folder that can be written to.
    """
    from pathlib import Path  # Imported late, because to import this library does not need it.

    if text := os.environ.get(SHARED_FOLDER_VARIABLE, "").strip():
        path = Path(text).absolute()
        if not _usable(path):
            raise ValueError(
                f"{SHARED_FOLDER_VARIABLE}={text!r} is not a folder that this process can write "
                f"to; "
                f"set one that is in memory, as in {SHARED_FOLDER_VARIABLE}={SHARED_MEMORY}"
            )
        return path
    if _usable(SHARED_MEMORY):
        return Path(SHARED_MEMORY)
    if sys.platform != "darwin":
        return None
    import tempfile  # Imported late for the same reason.

    return Path(tempfile.gettempdir()).absolute()


def _usable(folder: "Path | str") -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def store_url() -> str | None:
    """Return the fsspec URL of the store for large values that other machines need.

    ``DISTRIBUTE_CHALLENGE_STORE`` sets it. None: the values go into Redis.
    """
    return os.environ.get(STORE_VARIABLE, "").strip() or None


def value_cache(processes: int = 1) -> int:
    """Return the bytes of large values that each worker process keeps for its next calls.

    ``DISTRIBUTE_CHALLENGE_VALUE_CACHE`` sets them. The default is a quarter of this machine's
    memory, or of the memory that its container may use, divided among the processes, and at most
    4 GB.

    Args:
        processes: Number of worker processes that share the machine.

    Raises:
        ValueError: The variable is set to something other than a whole number.
    """
    text = os.environ.get(VALUE_CACHE_VARIABLE, "").strip()
    if text:
        if not text.isdecimal():
            raise ValueError(
                f"{VALUE_CACHE_VARIABLE}={text!r} is not a number of bytes; "
                f"set a whole number of at least 0, as in {VALUE_CACHE_VARIABLE}=1000000000"
            )
        return int(text)
    return min(_memory() // 4 // processes, LARGEST_VALUE_CACHE)


def shuffle_memory() -> int:
    """Return the bytes that the pairs of one call of `map_reduce` may take in memory.

    ``DISTRIBUTE_CHALLENGE_SHUFFLE_MEMORY`` sets them. The default is an eighth of this machine's
    memory, or of the memory that its container may use, divided among `worker_count` processes, and
    at most 1 GB.

    Raises:
        ValueError: The variable is set to something other than a whole number.
    """
    default = min(_memory() // 8 // worker_count(), LARGEST_SHUFFLE_MEMORY)
    return _bytes(SHUFFLE_MEMORY_VARIABLE, default)


def _memory() -> int:
    """Return the bytes of memory of this machine, or of its container if these are fewer."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError), open(CONTAINER_MEMORY) as file:
        memory = min(memory, int(file.read()))
    return memory


def dashboard_token() -> str | None:
    """Return the token of the dashboard: ``DISTRIBUTE_CHALLENGE_DASHBOARD_TOKEN``, or None."""
    return os.environ.get(DASHBOARD_TOKEN_VARIABLE, "").strip() or None


def data_file_limit() -> int:
    """Return the bytes of the largest package file that travels to workers on other machines.

    ``DISTRIBUTE_CHALLENGE_DATA_FILE_LIMIT`` sets them; the default is 1,000,000.

    Raises:
        ValueError: The variable is set to something other than a whole number.
    """
    return _bytes(DATA_FILE_LIMIT_VARIABLE, DEFAULT_DATA_FILE_LIMIT)


def data_limit() -> int:
    """Return the most bytes of package files that travel with one function.

    These files go to workers on other machines.
    ``DISTRIBUTE_CHALLENGE_DATA_LIMIT`` sets them; the default is 5,000,000.

    Raises:
        ValueError: The variable is set to something other than a whole number.
    """
    return _bytes(DATA_LIMIT_VARIABLE, DEFAULT_DATA_LIMIT)


def _seconds(variable: str, default: float, *, example: int, may_be_zero: bool = False) -> float:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if seconds > 0 or (may_be_zero and seconds == 0):
        return seconds
    kind = "a number of seconds of at least 0" if may_be_zero else "a number of seconds above 0"
    raise ValueError(f"{variable}={text!r} is not {kind}; set it as in {variable}={example}")


def _bytes(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isdecimal():
        raise ValueError(
            f"{variable}={text!r} is not a number of bytes; set a whole number of at least 0, as "
            f"in {variable}=10000000"
        )
    return int(text)


def masked(url: str) -> str:
    """Return a URL with its password replaced, so that it can be shown in messages and logs.

    Examples:
        >>> masked("redis://user:secret@example.org:6379/0")
        'redis://user:***@example.org:6379/0'
        >>> masked("redis://localhost")
        'redis://localhost'
    """
    return _PASSWORD_PARAMETER.sub("***", _PASSWORD.sub(r"\1:***@", url))
