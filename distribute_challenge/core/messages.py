"""The messages between client and worker: `Task`, `Batch` and `Reply`.

A task is one call, or one chunk, as the client hands it to an engine. A batch is one broker message
to a worker, and a reply is one message back to the client. Batches and replies travel as frames.
Between machines a frame is sealed (`security.keyring`), and only a holder of the secret opens it.
"""

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isfinite
from typing import Any, Final, Literal, NamedTuple

from distribute_challenge.core.batching import GIVE_BACK_AFTER
from distribute_challenge.core.following import Following, is_following
from distribute_challenge.core.framing import Blob, framed, unbroken, unframed, versions_in
from distribute_challenge.core.options import CallOptions
from distribute_challenge.core.schema import (
    Check,
    flag,
    number_up_to,
    optional,
    row_of,
    seconds,
    text,
)
from distribute_challenge.core.section import Section, is_section
from distribute_challenge.errors import Attempt, ForgedError, VersionMismatchError
from distribute_challenge.version import __version__

__all__ = ["Batch", "FunctionPayload", "Problem", "ProblemKind", "Reply", "Task"]

#: Seconds after which a worker refuses a message, so that an attacker cannot send it again later. A
#: client that still waits for the calls in it sends them in a new message.
LIFETIME: Final = 3600.0

PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


class FunctionPayload(NamedTuple):
    """A pickled function with its modules, and a name for people.

    ``digest`` is the payload's SHA-256 in hexadecimal: equal digests mean equal functions.
    ``values`` are the keys of the large values that the payload refers to.
    """

    digest: str
    payload: bytes
    name: str
    values: tuple[str, ...] = ()


class Task(NamedTuple):
    """One call, or one chunk of a `map`, as an engine gets it.

    Args:
        function: The function to call.
        arguments: For one call, its pickled ``(args, kwargs)``; for a chunk, a pickled list of
            ``args``.
        options: The options of the call.
        created: When the arguments were pickled, in seconds since the epoch.
        chunk: Number of calls in a chunk, whose future gives a `ChunkResult`; 0 for one call.
        values: Keys of the large values that arguments and function refer to. The engine's depot
            counts one user for each, and the engine releases them when the call is over.
        needs: The futures and calls that stand in the arguments. `graph` puts their values there
            before an engine gets the task, which then has none.
        attempts: Earlier attempts, in which the call was begun together with other calls and gave
            no outcome. They count towards the limit of attempts.
        is_inner: Whether only other calls need the value, so that it may stay on the cluster.
        is_next: Whether it has waited for other calls, and so goes before calls that have not.
    """

    function: FunctionPayload
    arguments: bytes
    options: CallOptions
    created: float
    chunk: int = 0
    values: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    needs: tuple[Any, ...] = ()
    is_inner: bool = False
    is_next: bool = False

    @property
    def calls(self) -> int:
        """Number of calls in this task."""
        return self.chunk or 1


@dataclass(frozen=True, slots=True)
class Batch:
    """One message to a worker: calls of one function with equal options, and calls that follow.

    Args:
        id: Globally unique; also the Celery task id.
        function: Digest of the function.
        name: Readable name for logs.
        arguments: One byte string for each task, as in `Task`.
        chunk: As in `Task`; a batch holds either any number of single calls or one chunk.
        timeout: Seconds that one attempt of one call may run; None: no limit.
        retries: How often a call that raised is tried again.
        patience: Seconds that the batch may take; after that, the worker gives back the calls that
            it has not begun.
        places: Names of the stores where the client's large values lie and results may be put.
        client: Id of the client; its calls are dropped when it is gone. Empty if no client owns
            them, as within one process.
        reply_to: The Redis list that replies go to.
        issued: When it was sent, in seconds since the epoch by Redis' clock.
        lifetime: Seconds after which a worker refuses it.
        keep: Seconds that the outcome of a detached call is kept; 0: the call is not detached.
        at_most_once: Whether a worker may begin it only once.
        stays: Whether only other calls need the values. The worker puts large ones where all workers
            see them.
        following: The last calls: each needs results of calls before it.
        logs: If set, the worker sends the client what the calls print while they run, and what they
            log at this level of `logging` or above; None: neither.
        python, library: Versions of the sender.
    """

    id: str
    function: str
    name: str
    arguments: Sequence[Blob]
    chunk: int = 0
    timeout: float | None = None
    retries: int = 0
    patience: float = GIVE_BACK_AFTER
    places: Sequence[str] = ()
    client: str = ""
    reply_to: str = ""
    issued: float = 0.0
    lifetime: float = LIFETIME
    keep: float = 0.0
    at_most_once: bool = False
    stays: bool = False
    following: Sequence[Following] = ()
    logs: int | None = None
    python: str = PYTHON
    library: str = __version__

    @property
    def calls(self) -> int:
        """Number of calls in this batch."""
        return self.chunk or len(self.arguments)

    def parts(self) -> Iterator[tuple["Batch", range]]:
        """Yield the calls of one function after the other, as a batch, with their numbers in this."""
        last = len(self.arguments) - sum(part.calls for part in self.following)
        yield self, range(last)
        for function, name, stays, calls in self.following:
            numbers = range(last, last := last + calls)
            yield replace(self, function=function, name=name, stays=stays), numbers

    def encode(self) -> bytes:
        """Return the batch as one frame."""
        header = {
            "id": self.id,
            "function": self.function,
            "name": self.name,
            "chunk": self.chunk,
            "timeout": self.timeout,
            "retries": self.retries,
            "patience": self.patience,
            "places": self.places,
            "client": self.client,
            "reply_to": self.reply_to,
            "issued": self.issued,
            "lifetime": self.lifetime,
            "keep": self.keep,
            "at_most_once": self.at_most_once,
            "stays": self.stays,
            "following": self.following,
            "logs": self.logs,
            "python": self.python,
            "library": self.library,
        }
        return framed(header, self.arguments)

    @classmethod
    def decode(cls, frame: Blob) -> "Batch":
        """Return the batch in a frame.

        Raises:
            VersionMismatchError: The frame is of another wire format.
            ForgedError: The frame is broken.
        """
        with unbroken:
            header, blobs = unframed(frame, _BATCH)
            if header["chunk"] and len(blobs) != 1:
                raise ForgedError("it has a chunk in pieces")
            following = tuple(Following(*part) for part in header.pop("following"))
            if following and (header["chunk"] or sum(p.calls for p in following) >= len(blobs)):
                raise ForgedError("its calls follow none")
            places = tuple(header.pop("places"))
            return cls(arguments=blobs, places=places, following=following, **header)

    @classmethod
    def unread(cls, frame: Blob, name: str, reply_to: str) -> "Batch":
        """Return what is known of a batch in a frame that only another version can read.

        The worker uses it to answer the client, with the sender's versions if they can be read.

        Args:
            frame: The frame.
            name: Id of the batch, from the broker message around the frame.
            reply_to: As in `Batch`, from the broker message.
        """
        versions = versions_in(frame)
        python, library = versions if versions is not None else ("", "")
        text = "a call of another version"
        return cls(name, "", text, [b""], reply_to=reply_to, python=python, library=library)

    def runs_here(self) -> bool:
        """Whether the Python and library versions of this process match the sender's."""
        return self.python == PYTHON and _is_same_release(self.library, __version__)

    def runs_on(self, python: str, library: str) -> bool:
        """Whether a worker of another version can run the batch.

        Args:
            python: The worker's version of Python, such as ``"3.11.9"``.
            library: The worker's version of this library.
        """
        if not self.library:
            # The sender's version could not be read, so it is not this one.
            return not _is_same_release(library, __version__)
        return self.python == ".".join(python.split(".")[:2]) and _is_same_release(
            self.library, library
        )

    def check_versions(self) -> None:
        """Raise `VersionMismatchError` unless the versions of this process match the sender's."""
        if self.python != PYTHON:
            raise VersionMismatchError(
                f"{self.name}: the client runs Python {self.python}, this worker Python {PYTHON}; "
                f"a function's bytecode only runs on the minor version that made it. Start the "
                f"workers with Python {self.python}, or the client with Python {PYTHON}."
            )
        if not _is_same_release(self.library, __version__):
            raise VersionMismatchError(
                f"{self.name}: the client has distribute_challenge {self.library}, this worker "
                f"{__version__}; install the same version on both"
            )


#: Why a worker has no outcomes: the function is missing (the client sends it again), a value is
#: missing (the client puts it where this worker finds it; the text names its keys), another version
#: of the library made the message, the child process died, a call ran too long, it was cancelled, or
#: the message is older than its lifetime (the client sends the calls again).
ProblemKind = Literal[
    "function_missing", "value_missing", "version", "lost", "timeout", "cancelled", "expired"
]


class Problem(NamedTuple):
    """Why a worker has no outcomes to send: the kind, a text for people, and named facts."""

    kind: ProblemKind
    text: str
    facts: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Reply:
    """Outcomes of some calls of one batch, in order, starting with call number ``first``.

    The last reply for a batch has ``ended`` set. Calls that no reply has reported by then were not
    begun: the worker gave them back, because earlier calls took longer than expected. The worker
    may give calls back earlier: then a reply says how many are ``kept``.

    A reply that carries printed lines (`is_log`) has no outcomes. The worker numbers these replies
    of one batch by ``first``.

    Args:
        batch: Id of the batch.
        worker: Name of the worker process.
        started: When call ``first`` began, in seconds since the epoch.
        first: Index of the first call reported here.
        sections: The outcomes.
        ended: Whether this is the last reply for its batch.
        kept: Number of calls of the batch that this worker will have answered in the end; it gives
            the others back now. None: it gives none back now.
        finishes: When each task ended, in seconds since the epoch; the next one starts then.
        problem: Why there are no outcomes; None if there are.
        python, library: Versions of the worker.
    """

    batch: str
    worker: str
    started: float
    first: int = 0
    sections: Sequence[Section] = ()
    ended: bool = True
    kept: int | None = None
    finishes: "array[float]" = field(default_factory=lambda: array("d"))
    problem: Problem | None = None
    python: str = PYTHON
    library: str = __version__

    @property
    def is_log(self) -> bool:
        """Whether it carries lines that calls have printed, and no outcomes."""
        return len(self.sections) == 1 and self.sections[0].kind == "log"

    def encode(self) -> bytes:
        """Return the reply as one frame."""
        header = {
            "batch": self.batch,
            "worker": self.worker,
            "started": self.started,
            "first": self.first,
            "ended": self.ended,
            "kept": self.kept,
            "problem": self.problem,
            "python": self.python,
            "library": self.library,
            "sections": [
                (section.kind, section.calls, len(section.beside), section.modules)
                for section in self.sections
            ],
        }
        blobs = [blob for section in self.sections for blob in (section.blob, *section.beside)]
        return framed(header, [*blobs, self.finishes.tobytes()])

    @classmethod
    def decode(cls, frame: Blob) -> "Reply":
        """Return the reply in a frame.

        Raises:
            VersionMismatchError: The frame is of another wire format.
            ForgedError: The frame is broken.
        """
        with unbroken:
            header, blobs = unframed(frame, _REPLY)
            shapes, problem = header.pop("sections"), header.pop("problem")
            finishes = array("d")
            finishes.frombytes(blobs.pop())
            if not isfinite(sum(finishes)):
                raise ForgedError("it ended at no time")
            kinds = [kind for kind, *_ in shapes]
            if "log" in kinds and (kinds != ["log"] or header["ended"] or problem):
                raise ForgedError("it has lines beside something else")
            following = iter(blobs)
            return cls(
                sections=[
                    Section(
                        kind,
                        calls,
                        next(following, b""),
                        tuple(islice(following, beside)),
                        tuple(modules),
                    )
                    for kind, calls, beside, modules in shapes
                ],
                finishes=finishes,
                problem=Problem(*problem) if problem else None,
                **header,
            )


def _is_same_release(one: str, other: str) -> bool:
    # Releases that differ only in the last number fix bugs and keep the wire format.
    return one.split(".")[:2] == other.split(".")[:2]


def _is_problem(value: Any) -> bool:
    match value:
        case [kind, words, facts]:
            return text(kind) and text(words) and isinstance(facts, dict)
    return False


MOST_IN_A_CHUNK: Final = 10**8  # Calls: a list of as many errors still fits into memory.

_number: Final = number_up_to()
_COMMON: Final[dict[str, Check]] = {"sizes": row_of(_number), "python": text, "library": text}
_BATCH: Final[dict[str, Check]] = _COMMON | {
    **dict.fromkeys(("id", "function", "name", "client", "reply_to"), text),
    **dict.fromkeys(("patience", "issued", "lifetime", "keep"), seconds),
    "chunk": number_up_to(MOST_IN_A_CHUNK),
    "timeout": optional(seconds),
    "retries": _number,
    "places": row_of(text),
    "at_most_once": flag,
    "stays": flag,
    "following": row_of(is_following),
    "logs": optional(_number),
}
_REPLY: Final[dict[str, Check]] = _COMMON | {
    **dict.fromkeys(("batch", "worker"), text),
    "started": seconds,
    "first": _number,
    "ended": flag,
    "kept": optional(_number),
    "problem": optional(_is_problem),
    "sections": row_of(is_section),
}
