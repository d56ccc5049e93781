"""Make Redis connections from broker URLs, and the library's own errors from those of redis-py."""

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

CONNECT_TIMEOUT = 4.0  # Seconds to reach the server; its absence has to be an error within five.
# Seconds for the first answer: a server that accepts the connection and then does not answer is an
# error, too.
ANSWER_WITHIN = 4.0
SOCKET_TIMEOUT = 10.0  # Seconds without an answer after which a connection counts as dead.
RECONNECT_PAUSE = 0.5  # Seconds between attempts to reach a broker that went away, on average.

# Keep-alive packets make firewalls keep an idle connection open, and close a connection whose other
# end is gone.
_KEEP_ALIVE = {
    getattr(socket, name): seconds
    for name, seconds in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}

# A generator of its own, so that the user's numbers from `random` stay the same; the system's,
# because forked processes do not share its state.
_jitter = random.SystemRandom()

_CERTIFICATES = {"CERT_REQUIRED": "required", "CERT_OPTIONAL": "optional", "CERT_NONE": "none"}


class Broker(redis.Redis):
    """A Redis client that knows the secret of its cluster; clients and workers use it."""

    url: str

    @cached_property
    def keyring(self) -> Keyring:
        """The keyring that signs what this process sends by the broker, and opens what it gets.

        Raises:
            SecretError: There is no secret for this cluster.
        """
        return keyring_for(self.url)

    @cached_property
    def clock(self) -> ClusterClock:
        """The clock of the cluster."""
        return clock_of(self.url)

    def run(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script.

        Raises:
            redis.OutOfMemoryError: The server has no memory left for what the script writes; also
                with Redis 6, which reports that as an error of the script.
            redis.RedisError: The broker does not answer, or refuses the script.
        """
        try:
            return self.eval(script, len(keys), *keys, *arguments)
        except redis.ResponseError as error:
            raise redis.OutOfMemoryError(str(error)) if "OOM" in str(error) else error from None


def connect(
    url: str, *, answer_within: float = SOCKET_TIMEOUT, keyring: Keyring | None = None
) -> Broker:
    """Return a Redis client for a broker URL, which connects when it is first used.

    Args:
        url: ``redis://``, ``rediss://`` or ``redis+socket://``, as Celery takes them.
        answer_within: Seconds that the server has for each answer; more for large commands.
        keyring: The keyring of the cluster, if it is known; None: it is looked up when it is first
            used.

    Raises:
        OptionError: The URL is of another kind.
    """
    try:
        address = _redis_url(url)
        alive: dict[str, Any] = {}
        if not address.startswith("unix:"):
            alive = {"socket_keepalive": True, "socket_keepalive_options": _KEEP_ALIVE}
        # No retries inside redis-py, which would repeat commands that must not run twice, and hide
        # how long it waits.
        client: Broker = Broker.from_url(  # type: ignore[assignment] # the stub says `Redis`
            address,
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=answer_within,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            **alive,
        )
    except (ValueError, TypeError) as error:
        # Python's error for a URL that it cannot parse may contain a part of the password.
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
    """Check that the broker answers, and ask its time; it has less time than for later commands.

    Raises:
        BrokerUnreachableError: The server does not answer, or does not let this client in.
        OptionError: The URL is of another kind, or the server runs in cluster mode.
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
                # The server has been restarted, and is loading its data from disk.
                if clock.monotonic() > deadline:
                    raise
                time.sleep(reconnect_pause())


def _refuse_cluster_mode(probe: Broker) -> None:
    """Refuse a server in cluster mode.

    Its keys are spread over nodes, so commands on several keys fail, and queues need those.
    """
    try:
        # HELLO and not INFO, because access lists often deny INFO.
        answer: Any = probe.execute_command("HELLO")  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return  # Redis before 6.2, or a proxy that does not pass the command on.
    # The answer is a list with the older protocol; redis-py chooses the protocol.
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
    """Return the seconds to wait before the next attempt to reach a broker.

    They are random, so that not all clients of a lost broker come back at once.
    """
    return _jitter.uniform(0.5, 1.5) * RECONNECT_PAUSE


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn redis-py's errors into the library's own, with advice on what to check.

    Raises:
        BrokerFullError: The server has no memory left.
        BrokerUnreachableError: The server does not answer, does not let this client in, or refuses
            its commands.
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
    """Return the library's own error for one of redis-py's.

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
    """Return what to do if Redis refuses a command, or all commands that write."""
    if isinstance(error, redis.ReadOnlyError):
        return "it is a replica: set the address of its primary"
    if isinstance(error, redis.BusyLoadingError):
        return "it is reading its data from disk: try again in a moment"
    if isinstance(error, NoPermissionError):
        return "give the user in the URL the rights that the page on security lists"
    if str(error).startswith("MISCONF"):
        return (
            "it cannot save its data, most likely as its disk is full: make room there, and look "
            "at its log"
        )
    return "look at its log and its configuration"


def _memory(url: str) -> str:
    """Return how full the server is, for a sentence; empty if it does not answer."""
    with suppress(redis.RedisError, OSError), connect(url, answer_within=ANSWER_WITHIN) as probe:
        memory: Any = probe.info("memory")
        return (
            f" ({as_size(memory['used_memory'])} used, maxmemory is {as_size(memory['maxmemory'])})"
        )
    return ""


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _redis_url(url: str) -> str:
    """Return Celery's form of a Redis URL in redis-py's form."""
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
    """Replace the locks of cached properties in a forked child process.

    Up to Python 3.11 a cached property has a lock, which a thread may hold that is missing there.
    """
    for name in ("keyring", "clock"):
        vars(Broker)[name].lock = threading.RLock()


os.register_at_fork(after_in_child=_make_locks_anew)
