"""From a broker URL to a Redis connection, and from redis-py's errors to the library's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from distribute_challenge.errors import BrokerUnreachableError, OptionError
from distribute_challenge.execution_backends.celery import tls
from distribute_challenge.settings import masked

__all__ = ["check_reachable", "connect", "translated"]

CONNECT_TIMEOUT = 4.0  # Seconds to reach the server; its absence is to be an error within five.
ANSWER_WITHIN = (
    4.0  # Seconds for the first answer: a server that takes the connection and stays silent is an error, too.
)
SOCKET_TIMEOUT = 15.0  # Seconds without an answer after which a connection counts as dead.

_CERTIFICATES = {"CERT_REQUIRED": "required", "CERT_OPTIONAL": "optional", "CERT_NONE": "none"}


def connect(url: str, *, answer_within: float = SOCKET_TIMEOUT) -> redis.Redis:
    """A Redis client for a broker URL. It connects when it is first used.

    Args:
        url: ``redis://``, ``rediss://`` or ``redis+socket://``, as Celery takes them.
        answer_within: Seconds that the server has for each answer.

    Raises:
        OptionError: A URL of another kind.
    """
    try:
        # No retries inside redis-py: it would repeat commands that must not run twice, and hide how long it waits.
        client: redis.Redis = redis.Redis.from_url(
            _redis_url(url),
            socket_connect_timeout=CONNECT_TIMEOUT,
            socket_timeout=answer_within,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
        )
    except (ValueError, TypeError) as error:
        # What Python says of a URL that it cannot take apart may quote from the password.
        reason = (
            error
            if masked(url) == url
            else "in a password, all but letters, digits, - and _ has to be quoted, / as %2F"
        )
        raise OptionError(
            f"the broker URL {masked(url)!r} cannot be used: {reason}; write it as redis://host:6379/0, "
            f"rediss://user:password@host:6380/0 or redis+socket:///path/to/redis.sock"
        ) from None
    return client


def check_reachable(url: str) -> None:
    """Ask the broker for a sign of life, with less patience than later commands get.

    Raises:
        BrokerUnreachableError: It does not answer, or does not let this client in.
        OptionError: A URL of another kind.
    """
    with translated(url), connect(url, answer_within=ANSWER_WITHIN) as probe:
        probe.ping()


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Turn redis-py's errors into `BrokerUnreachableError`, with what to check.

    Raises:
        BrokerUnreachableError: The server does not answer, or does not let this client in.
    """
    try:
        yield
    except redis.AuthenticationError as error:
        raise BrokerUnreachableError(
            f"the broker {masked(url)} refused the login ({_reason(error)}): check user and password in the URL"
        ) from None
    except (redis.RedisError, OSError) as error:
        if (advice := tls.complaint(url, str(error))) is not None:
            raise BrokerUnreachableError(f"no TLS connection to {masked(url)} ({_reason(error)}): {advice}") from None
        raise BrokerUnreachableError(
            f"no Redis answers at {masked(url)} ({_reason(error)}): check that the server runs, that host and port are "
            f"right and reachable from this machine, and the variables DISTRIBUTE_CHALLENGE_BROKER_URL and "
            f"CELERY_BROKER_URL; with neither set, the calls run on an embedded cluster"
        ) from None


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
