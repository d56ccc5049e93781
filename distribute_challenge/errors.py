"""Every error that this library raises, in one tree.

    DistributeChallengeError
    ├── CallError (also a TypeError)        the call itself is wrong; nothing was sent
    │   ├── SignatureError                  arguments do not fit the function
    │   ├── UnsupportedFunctionError        this kind of callable cannot be distributed
    │   ├── OptionError                     an option is out of range, or the backend lacks it
    │   ├── DependencyError                 a call needs its own result
    │   ├── BackendError                    no such backend, or one that lacks an install
    │   └── SerialisationError (also a pickle.PicklingError)   a function, an argument or a result
    │                                       cannot be pickled
    ├── SystemFailureError                  the call is fine, the machinery under it is not
    │   ├── BrokerUnreachableError (also a ConnectionError)
    │   ├── BrokerFullError                 Redis has no memory left for the call
    │   ├── ClusterStartError               a cluster of this process did not start, or died
    │   ├── ForgedError                     bytes without a valid signature
    │   ├── SecretError                     client and workers do not share a secret
    │   ├── SetupError (also a BrokenProcessPool)       a `setup` or an initializer raised
    │   ├── StoreFullError                  no store has room for a large value
    │   ├── TaskLostError                   the call is gone from Redis, and was not sent again
    │   ├── ValueLostError                  a large value is gone from its store
    │   ├── ValueMissingError               a worker lacks a large value; its client then sends it
    │   ├── WorkerLostError (also a BrokenProcessPool)  the process that ran the call died
    │   └── VersionMismatchError            client and worker cannot understand each other
    ├── ResultUnavailableError              there is no result to give
    │   ├── ResultTimeoutError (also a TimeoutError)   the caller stopped waiting
    │   ├── CallTimeoutError (also a TimeoutError)     the call ran longer than its `timeout=`
    │   ├── QueueTimeoutError (also a TimeoutError)    no worker began it within `queue_timeout=`
    │   └── CallCancelledError              the call was cancelled
    └── RemoteError                         the user's exception, if it cannot be rebuilt here

An exception that the user's own function raises is not in this tree: it arrives as itself.

    NeverRunWarning (a RuntimeWarning)      work that was set up never ran: no error, but seldom
                                            intended
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pickle import PicklingError
from typing import Any

__all__ = [
    "Attempt",
    "BackendError",
    "BrokerFullError",
    "BrokerUnreachableError",
    "CallCancelledError",
    "CallError",
    "CallTimeoutError",
    "ClusterStartError",
    "DependencyError",
    "DistributeChallengeError",
    "ForgedError",
    "NeverRunWarning",
    "OptionError",
    "QueueTimeoutError",
    "RemoteError",
    "ResultTimeoutError",
    "ResultUnavailableError",
    "SecretError",
    "SerialisationError",
    "SetupError",
    "SignatureError",
    "StoreFullError",
    "SystemFailureError",
    "TaskLostError",
    "UnsupportedFunctionError",
    "ValueLostError",
    "ValueMissingError",
    "VersionMismatchError",
    "WorkerLostError",
]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One time that a call was sent and gave no outcome, as errors of lost calls report it.

    Args:
        worker: Name of the worker process that had the call; empty if it is not known.
        sent: When the client sent it, in seconds since the epoch.
        ended: When the client learned of its end, in seconds since the epoch.
        reason: What happened, as text for people.
        calls: Number of calls without an outcome in its message. If there are several, each of them
            may be the cause.
        facts: What the worker knew about the end, by name: ``host``, ``pid``, ``signal`` or
            ``exit_code``, ``memory`` and ``limit`` in bytes, ``out_of_memory``, ``log`` (lines),
            ``crash`` (text), ``worker_lost``. Each of them may be missing.
    """

    worker: str
    sent: float
    ended: float
    reason: str
    calls: int = 1
    facts: Mapping[str, Any] = field(default_factory=dict)


class DistributeChallengeError(Exception):
    """Base of every error that this library itself raises."""


class NeverRunWarning(RuntimeWarning):
    """Work that was set up never ran.

    A call or a map was made and not run, or the end of the program cancelled calls.

    Examples:
        >>> import warnings
        >>> warnings.filterwarnings("ignore", category=NeverRunWarning)  # Where that is meant.
    """


class CallError(DistributeChallengeError, TypeError):
    """The call is wrong and was not sent. Correct the call."""


class SignatureError(CallError):
    """The arguments do not fit the function's signature."""


class UnsupportedFunctionError(CallError):
    """This kind of callable cannot run as one call on another machine."""


class OptionError(CallError):
    """An option has a value that it cannot have, or the call's backend does not support it."""


class BackendError(CallError):
    """The named backend does not exist, or a package that it needs is not installed."""


class DependencyError(CallError):
    """A call needs its own result, by way of the calls in its arguments."""


class SerialisationError(CallError, PicklingError):
    """A function, an argument or a result cannot be pickled; the message names the faulty part."""


class SystemFailureError(DistributeChallengeError):
    """The call is fine; the system that should have run it failed."""


class BrokerUnreachableError(SystemFailureError, ConnectionError):
    """No Redis server answered at the broker's address, or it refused a command.

    The message says which.
    """


class BrokerFullError(SystemFailureError):
    """Redis has no memory left for a call.

    Calls that it took before are kept. Make room, and make the call again.
    """


class ClusterStartError(SystemFailureError):
    """A cluster that this process started did not come up, or died.

    The message ends with its last log lines.
    """


class ForgedError(SystemFailureError):
    """Bytes were not signed with the cluster's secret, or not for this purpose.

    Their content is not read.
    """


class SecretError(SystemFailureError):
    """There is no secret to sign calls with, or client and workers have different ones.

    The message has the line to write.
    """


class SetupError(SystemFailureError):
    """The ``setup`` of a function, or the ``initializer`` of an executor, raised in a process.

    The exception that it raised is the cause. The errors that the library raises are also instances
    of `concurrent.futures.process.BrokenProcessPool`.

    Attributes:
        key: Which setup it was (`core.setup.Setup.key`).
    """

    def __init__(self, text: str = "", key: str = "") -> None:
        self.text, self.key = text, key
        super().__init__(text, key)

    def __str__(self) -> str:
        return self.text


class StoreFullError(SystemFailureError):
    """A large value does not fit into its store; the message says how to make room."""


class TaskLostError(SystemFailureError):
    """The call is gone from Redis and gave no result.

    It is not sent again, because it may have run, or was lost several times.

    Attributes:
        attempts: Each time that it was sent.
    """

    def __init__(self, text: str = "", attempts: Iterable[Attempt] = ()) -> None:
        self.text, self.attempts = text, tuple(attempts)
        super().__init__(text, self.attempts)

    def __str__(self) -> str:
        return self.text


class ValueLostError(SystemFailureError):
    """A large value is gone from its store, for instance after a restart of Redis.

    Make the call again.

    Attributes:
        keys: Names of the values in the store.

    Examples:
        >>> error = ValueLostError("one value is gone", ["d9265cc5"])
        >>> print(error, error.keys)
        one value is gone ('d9265cc5',)
    """

    def __init__(self, text: str, keys: Iterable[str] = ()) -> None:
        self.text, self.keys = text, tuple(keys)
        super().__init__(text, self.keys)

    def __str__(self) -> str:
        return self.text


class ValueMissingError(SystemFailureError):
    """A worker does not find large values.

    It tells the client, which puts them where the worker finds them: no call fails because of it.

    Attributes:
        keys: Names of the values in the store.

    Examples:
        >>> str(ValueMissingError(["d9265cc5"]))
        'large values not found here: d9265cc5'
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = tuple(keys)
        super().__init__(self.keys)

    def __str__(self) -> str:
        return f"large values not found here: {', '.join(self.keys)}"


class WorkerLostError(SystemFailureError):
    """The worker process that ran the call died, each time that the call was tried.

    The errors that the library raises are also instances of
    `concurrent.futures.process.BrokenProcessPool`.

    Attributes:
        attempts: Each time that it was tried: where, when, and how it ended.

    Examples:
        >>> error = WorkerLostError("it died", [Attempt("celery@host/7", 1.0, 2.0, "signal SIGKILL")])
        >>> print(error, error.attempts[0].worker)
        it died celery@host/7
    """

    def __init__(self, text: str = "", attempts: Iterable[Attempt] = ()) -> None:
        self.text, self.attempts = text, tuple(attempts)
        super().__init__(text, self.attempts)

    def __str__(self) -> str:
        return self.text


class VersionMismatchError(SystemFailureError):
    """Client and worker run Python or library versions that cannot exchange calls."""


class ResultUnavailableError(DistributeChallengeError):
    """The call has no result to give."""


class ResultTimeoutError(ResultUnavailableError, TimeoutError):
    """The caller's own time to wait is over; the call may still be running."""


class CallTimeoutError(ResultUnavailableError, TimeoutError):
    """The call ran longer on its worker than its `timeout=` allows, and was stopped."""


class QueueTimeoutError(ResultUnavailableError, TimeoutError):
    """No worker began the call within its `queue_timeout=`; it was taken back and never ran."""


class CallCancelledError(ResultUnavailableError, CancelledError):
    """The call was cancelled before it gave a result."""


class RemoteError(DistributeChallengeError):
    """Stands in for an exception of the user's function that cannot be rebuilt in this process.

    Attributes:
        type_name: Qualified name of the original exception's class, such as ``"app.errors.Bad"``.
        text: ``str()`` of the original exception.
        traceback_text: The worker's formatted traceback.

    Examples:
        >>> print(RemoteError("app.Bad", "no luck", "Traceback ..."))
        app.Bad: no luck
        <BLANKLINE>
        On the worker:
        Traceback ...
    """

    def __init__(self, type_name: str, text: str, traceback_text: str) -> None:
        super().__init__(type_name, text, traceback_text)
        self.type_name = type_name
        self.text = text
        self.traceback_text = traceback_text

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}\n\nOn the worker:\n{self.traceback_text}"
