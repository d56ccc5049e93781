"""From a broker URL to a Redis connection, and from redis-py's errors to the library's own."""

import os
import random
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from distribute_challenge.core import clock
from distribute_challenge.core.sizes import as_size
from distribute_challenge.errors import (
    BrokerFullError,
    BrokerUnreachableError,
    OptionError,
    SystemFailureError,
)
from distribute_challenge.execution_backends.celery.broker import tls
from distribute_challenge.execution_backends.celery.broker.cluster_clock import (
    ClusterClock,
    clock_of,
)
from distribute_challenge.execution_backends.celery.broker.paced import pace
from distribute_challenge.security import Keyring, keyring_for
from distribute_challenge.settings import masked

__all__ = ["Broker", "check_reachable", "connect", "reconnect_pause", "translate", "translated"]

CONNECT_TIMEOUT = 4.0  # Seconds to reach the server; its absence is to be an error within five.
# Seconds for the first answer: a server that takes the connection and stays silent is an error,
# too.
ANSWER_WITHIN = 4.0
SOCKET_TIMEOUT = 10.0  # Seconds without an answer after which a connection counts as dead.
RECONNECT_PAUSE = 0.5  # Seconds between attempts to reach a broker that went away, on average.

# An idle connection is asked for a sign of life, so that a firewall keeps it open, and one without
# another end is given up.
_KEEP_ALIVE = {
    getattr(socket, name): seconds
    for name, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}

# Its own, as what the user's program draws from `random` is the user's; and the system's, which
# forked processes do not share.
_jitter = random.SystemRandom()

_CERTIFICATES = {"CERT_REQUIRED": "required", "CERT_OPTIONAL": "optional", "CERT_NONE": "none"}


class Broker(redis.Redis):
    """A Redis client that knows the secret of its cluster."""

    url: str

    @cached_property
    def keyring(self) -> Keyring:
        """Signs what goes to others by way of this broker, and opens what comes from them.

        Raises:
            SecretError: There is no secret for this cluster.
        """
        return keyring_for(self.url)

    @cached_property
    def clock(self) -> ClusterClock:
        """What the server's clock shows."""
        return clock_of(self.url)

    def run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script.

        Raises:
            redis.OutOfMemoryError: There is no memory left for what it writes; also with Redis 6,
                to which that is the script's fault.
            redis.RedisError: The broker does not answer, or refuses it.
        """
        try:
            return self.eval(script, len(keys), *keys, *arguments)
        except redis.ResponseError as error:
            raise redis.OutOfMemoryError(str(error)) if "OOM" in str(error) else error from None


def connect(
    url: str, *, answer_within: float = SOCKET_TIMEOUT, keyring: Keyring | None = None
) -> Broker:
    """A Redis client for a broker URL. It connects when it is first used.

    Args:
        url: ``redis://``, ``rediss://`` or ``redis+socket://``, as Celery takes them.
        answer_within: Seconds that the server has for each answer; more for large commands.
        keyring: Of its cluster, where that is known; None: it is looked up when it is first used.

    Raises:
        OptionError: A URL of another kind.
    """
    try:
        address = _redis_url(url)
        alive: dict[str, Any] = {}
        if not address.startswith("unix:"):
            alive = {"socket_keepalive": True, "socket_keepalive_options": _KEEP_ALIVE}
        # No retries inside redis-py: it would repeat commands that must not run twice, and hide how
        # long it waits.
        client: Broker = Broker.from_url(  # type: ignore[assignment] # made of this class, whatever its stub says
            address,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=answer_within,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            **alive,
        )
    except (ValueError, TypeError) as error:
        # What Python says of a URL that it cannot take apart may quote from the password.
        reason = (
            error
            if masked(url) == url
            else "in a password, all but letters, digits, - and _ has to be quoted, / as %2F"
        )
        raise OptionError(
            f"the broker URL {masked(url)!r} cannot be used: {reason}; write it as "
            f"redis://host:6379/0, "
            f"rediss://user:password@host:6380/0 or redis+socket:///path/to/redis.sock"
        ) from None
    pace(client.connection_pool)
    client.url = url
    if keyring is not None:
        client.keyring = keyring
    return client


def check_reachable(url: str) -> None:
    """Ask the broker for a sign of life, with less patience than later commands get, and for the
    time.

    Raises:
        BrokerUnreachableError: It does not answer, or does not let this client in.
        OptionError: A URL of another kind, or a server that runs in cluster mode.
    """
    deadline = clock.monotonic() + ANSWER_WITHIN
    with translated(url), connect(url, answer_within=ANSWER_WITHIN) as probe:
        while True:
            try:
                probe.ping()
                _refuse_cluster_mode(probe)
                probe.clock.ask(probe)
                return
            except redis.BusyLoadingError:
                # It has been started again, and reads what it kept on disk.
                if clock.monotonic() > deadline:
                    raise
                time.sleep(reconnect_pause())


def _refuse_cluster_mode(probe: Broker) -> None:
    """Refuse a server whose keys are spread over nodes: there, commands on several keys fail, and
    queues need those.
    """
    try:
        # Not INFO, which access lists often deny.
        answer: Any = probe.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return  # Redis before 6.2, or a proxy that does not pass it on.
    # A list with the older protocol: redis-py decides which of them it speaks.
    described = (
        answer if isinstance(answer, dict) else dict(zip(answer[::2], answer[1::2], strict=True))
    )
    if described.get(b"mode") == b"cluster":
        raise OptionError(
            f"the server at {masked(probe.url)} runs in cluster mode, which queues do not work "
            f"with: they need several keys in one "
            f"command, and there each key may lie on another node. Use a single Redis or Valkey "
            f"server, with cluster-enabled no; "
            f"in ElastiCache, one with cluster mode disabled, and not a serverless one"
        )


def reconnect_pause() -> float:
    """Seconds to wait before the next attempt, drawn so that not all who lost a broker come back at
    once.
    """
    return _jitter.uniform(0.5, 1.5) * RECONNECT_PAUSE


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn redis-py's errors into the library's, with what to check.

    Raises:
        BrokerFullError: The server has no memory left.
        BrokerUnreachableError: The server does not answer, does not let this client in, or refuses
            what it is told.
    """
    try:
        yield
    except redis.AuthenticationError as error:
        raise BrokerUnreachableError(
            f"the broker {masked(url)} refused the login ({_reason(error)}): check user and "
            f"password in the URL"
        ) from None
    except redis.OutOfMemoryError:
        raise BrokerFullError(
            f"the broker {masked(url)} has no memory left for the call{_memory(url)}: wait until "
            f"workers have taken what waits "
            f"there, start more of them, or raise Redis' maxmemory; calls that it had taken before "
            f"are kept"
        ) from None
    except (redis.ResponseError, redis.BusyLoadingError) as error:
        raise BrokerUnreachableError(
            f"the broker {masked(url)} answers, and refuses what this client tells it "
            f"({_reason(error)}): {_refusal(error)}; "
            f"calls that it had taken before are kept"
        ) from None
    except (redis.RedisError, OSError) as error:
        if (advice := tls.complaint(url, str(error))) is not None:
            raise BrokerUnreachableError(
                f"no TLS connection to {masked(url)} ({_reason(error)}): {advice}"
            ) from None
        raise BrokerUnreachableError(
            f"no Redis answers at {masked(url)} ({_reason(error)}): check that the server runs, "
            f"that host and port are "
            f"right and reachable from this machine, and the variables "
            f"DISTRIBUTE_CHALLENGE_BROKER_URL and "
            f"CELERY_BROKER_URL; with neither set, the calls run on an embedded cluster"
        ) from None


def translate(url: str, error: Exception) -> SystemFailureError:
    """The library's own error for one of redis-py's.

    Args:
        url: The broker.
        error: A `redis.RedisError` or `OSError`.
    """
    try:
        with translated(url):
            raise error
    except SystemFailureError as own:
        return own


def _refusal(error: Exception) -> str:
    """What to do where Redis refuses a command, or all that write."""
    if isinstance(error, redis.ReadOnlyError):
        return "it is a replica: set the address of its primary"
    if isinstance(error, redis.BusyLoadingError):
        return "it is reading its data from disk: try again in a moment"
    if isinstance(error, NoPermissionError):
        return "give the user in the URL the rights that the page on security lists"
    if str(error).startswith("MISCONF"):
        return "it cannot save its data, most likely as its disk is full: make room there, and look at its log"
    return "look at its log and its configuration"


def _memory(url: str) -> str:
    """How full it is, for a sentence; nothing if it does not say."""
    with suppress(redis.RedisError, OSError), connect(url, answer_within=ANSWER_WITHIN) as probe:
        memory: Any = probe.info("memory")
        return (
            f" ({as_size(memory['used_memory'])} used, maxmemory is {as_size(memory['maxmemory'])})"
        )
    return ""


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _redis_url(url: str) -> str:
    """Celery's way of writing a Redis URL as redis-py's."""
    parts = urlsplit(url)
    query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    if parts.scheme == "redis+socket":
        database = query.pop("virtual_host", "0")
        login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        return f"unix://{login}{parts.path}?{urlencode({**query, 'db': database})}"
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError(f"unknown scheme {parts.scheme!r}")
    if "ssl_cert_reqs" in query:
        query["ssl_cert_reqs"] = _CERTIFICATES.get(query["ssl_cert_reqs"], query["ssl_cert_reqs"])
    return urlunsplit(parts._replace(query=urlencode(query)))


def _make_locks_anew() -> None:
    """In the child of a fork: up to Python 3.11 a cached property has a lock, which a thread may
    hold that is not there.
    """
    for name in ("keyring", "clock"):
        vars(Broker)[name].lock = threading.RLock()


os.register_at_fork(after_in_child=_make_locks_anew)
