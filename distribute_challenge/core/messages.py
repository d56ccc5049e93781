"""What travels: `Task` on the way out, `Batch` as one broker message, `Reply` on the way home.

A batch and a reply are frames. Between machines a frame travels sealed (`security.keyring`), and is
opened only by a holder of the secret.
"""

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isfinite
from typing import Any, Final, Literal, NamedTuple

from distribute_challenge.core.batching import GIVE_BACK_AFTER
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
from distribute_challenge.errors import Attempt, ForgedError, VersionMismatchError
from distribute_challenge.version import __version__

__all__ = ["Batch", "FunctionPayload", "Problem", "ProblemKind", "Reply", "Section", "Task"]

#: Seconds after which a worker refuses a message, so that nobody can send it once more later. A
#: client that still waits for its calls sends them in a new one.
LIFETIME: Final = 3600.0

PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"


class FunctionPayload(NamedTuple):
    """A pickled function with its modules, and the name that it travels under.

    ``digest`` is the payload's SHA-256 in hexadecimal: equal digests are equal functions.
    ``values`` are the keys of the large values that the payload refers to.
    """

    digest: str
    payload: bytes
    name: str
    values: tuple[str, ...] = ()


class Task(NamedTuple):
    """One call, or one chunk of a `map`, as an engine gets it.

    Args:
        function: What to call.
        arguments: Pickled ``(args, kwargs)`` of one call; of a chunk, a pickled list of ``args``.
        options: How to run it.
        created: Seconds since the epoch, when the arguments were pickled.
        chunk: Number of calls if this is a chunk, whose future then gives a list of outcomes; 0 for
            one call.
        values: Keys of the large values that arguments and function refer to. The engine's depot
            counts one user for each: the engine releases them when the call is over.
        attempts: The times that it was begun together with other calls and did not come back. They
            count.
    """

    function: FunctionPayload
    arguments: bytes
    options: CallOptions
    created: float
    chunk: int = 0
    values: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def calls(self) -> int:
        """Number of calls in this task."""
        return self.chunk or 1


@dataclass(frozen=True, slots=True)
class Batch:
    """One message to a worker: calls of one function with equal options.

    Args:
        id: Unique for ever; also the Celery task id.
        function: Digest of the function.
        name: Readable name for logs.
        arguments: One pickled string per task.
        chunk: As in `Task`; a batch holds either any number of single calls or one chunk.
        timeout: Seconds that one attempt of one call may run, or None.
        retries: How often a call that raised is tried again.
        patience: Seconds that it may take; after that, the worker gives back what it has not begun.
        places: Where the client's large values lie, and where results may be put; names of stores.
        client: Id of the client, whose calls are dropped when it is gone; empty: nobody's, as
            within one process.
        reply_to: The list that replies go to.
        issued: When it was sent, in seconds since the epoch by Redis' clock.
        lifetime: Seconds after which a worker refuses it.
        keep: Seconds that the outcome of a detached call is kept for whoever asks for it; 0: it is
            not detached.
        at_most_once: Whether it may only be begun once.
        logs: What its calls print is sent to the client while they run, and what they log from this
            level of `logging` on; None: nothing of that.
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
    logs: int | None = None
    python: str = PYTHON
    library: str = __version__

    @property
    def calls(self) -> int:
        """Number of calls in this batch."""
        return self.chunk or len(self.arguments)

    def encode(self) -> bytes:
        """The batch as one frame."""
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
            "logs": self.logs,
            "python": self.python,
            "library": self.library,
        }
        return framed(header, self.arguments)

    @classmethod
    def decode(cls, frame: Blob) -> "Batch":
        """The batch in a frame.

        Raises:
            VersionMismatchError: The frame is of another wire format.
            ForgedError: It is broken.
        """
        with unbroken:
            header, blobs = unframed(frame, _BATCH)
            if header["chunk"] and len(blobs) != 1:
                raise ForgedError("it has a chunk in pieces")
            return cls(arguments=blobs, places=tuple(header.pop("places")), **header)

    @classmethod
    def unread(cls, frame: Blob, name: str, reply_to: str) -> "Batch":
        """What can be known of a batch whose frame only another version can read: whom to tell, and
        of which version it is.

        Args:
            frame: The frame.
            name: Id of the batch, as it stands around the frame.
            reply_to: As in `Batch`, as it stands there.
        """
        versions = versions_in(frame)
        python, library = versions if versions is not None else ("", "")
        text = "a call of another version"
        return cls(name, "", text, [b""], reply_to=reply_to, python=python, library=library)

    def runs_here(self) -> bool:
        """Whether this Python can run the sender's code, and this library speaks as the sender's
        does.
        """
        return self.python == PYTHON and _is_same_release(self.library, __version__)

    def runs_on(self, python: str, library: str) -> bool:
        """Whether a worker of another version can run it.

        Args:
            python: The worker's, such as ``"3.11.9"``.
            library: The worker's version of this library.
        """
        if not self.library:
            # Of which version it is cannot be read, but not of this one.
            return not _is_same_release(library, __version__)
        return self.python == ".".join(python.split(".")[:2]) and _is_same_release(
            self.library, library
        )

    def check_versions(self) -> None:
        """Raise `VersionMismatchError` if this Python cannot run code of the sender's, or this
        library does not speak as it does.
        """
        if self.python != PYTHON:
            raise VersionMismatchError(
                f"{self.name}: the client runs Python {self.python}, this worker Python {PYTHON}; "
                f"a function's "
                f"bytecode only runs on the minor version that made it. Start the workers with "
                f"Python "
                f"{self.python}, or the client with Python {PYTHON}."
            )
        if not _is_same_release(self.library, __version__):
            raise VersionMismatchError(
                f"{self.name}: the client has distribute_challenge {self.library}, this worker "
                f"{__version__}; install the same "
                f"version on both"
            )


class Section(NamedTuple):
    """Outcomes of consecutive calls: ``kind`` is ``"values"`` (one pickled list), ``"value"`` or
    ``"error"``.

    ``beside`` are the large buffers of a value that lie in no store but travel in the reply. One
    section of the kind ``"log"`` is in the place of outcomes if there are none yet, but lines that
    calls have printed (`log_lines`).
    """

    kind: str
    calls: int
    blob: Blob
    beside: Sequence[Blob] = ()


#: Why a worker has no outcomes: the function is missing (the client sends it again), a value is
#: missing (the client puts it where this worker finds it; the text names its keys), another version
#: of the library made the message, the process died, it was killed for running too long, the call
#: was cancelled, or the message is older than its lifetime (the client sends it again).
ProblemKind = Literal[
    "function_missing", "value_missing", "version", "lost", "timeout", "cancelled", "expired"
]


class Problem(NamedTuple):
    """Why a worker has no outcomes to send: the kind, a text for people, and what else is known, by
    name.
    """

    kind: ProblemKind
    text: str
    facts: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Reply:
    """Outcomes of some calls of one batch, in order, starting with number ``first``.

    The last reply for a batch has ``ended`` set. Calls that no reply has reported by then were not
    begun: the worker gave them back, because those before them took longer than expected. It may
    give some back before: then a reply says how many are ``kept``.

    A reply that brings lines (`is_log`) has no outcomes. The worker numbers these replies of one
    batch by ``first``.

    Args:
        batch: Id of the batch.
        worker: Name of the worker process.
        started: Seconds since the epoch at which call ``first`` began.
        first: Index of the first call reported here.
        sections: The outcomes.
        ended: Whether this is the last reply for its batch.
        kept: How many calls of the batch this worker will have answered in the end, if it gives the
            others back now.
        finishes: When each task ended, in seconds since the epoch; the next one starts then.
        problem: Set in place of outcomes.
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
        """Whether it brings what calls have printed, and no outcomes."""
        return len(self.sections) == 1 and self.sections[0].kind == "log"

    def encode(self) -> bytes:
        """The reply as one frame."""
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
                (section.kind, section.calls, len(section.beside)) for section in self.sections
            ],
        }
        blobs = [blob for section in self.sections for blob in (section.blob, *section.beside)]
        return framed(header, [*blobs, self.finishes.tobytes()])

    @classmethod
    def decode(cls, frame: Blob) -> "Reply":
        """The reply in a frame.

        Raises:
            VersionMismatchError: The frame is of another wire format.
            ForgedError: It is broken.
        """
        with unbroken:
            header, blobs = unframed(frame, _REPLY)
            shapes, problem = header.pop("sections"), header.pop("problem")
            finishes = array("d")
            finishes.frombytes(blobs.pop())
            if not isfinite(sum(finishes)):
                raise ForgedError("it ended at no time")
            kinds = [kind for kind, _, _ in shapes]
            if "log" in kinds and (kinds != ["log"] or header["ended"] or problem):
                raise ForgedError("it has lines beside something else")
            following = iter(blobs)
            return cls(
                sections=[
                    Section(kind, calls, next(following, b""), tuple(islice(following, beside)))
                    for kind, calls, beside in shapes
                ],
                finishes=finishes,
                problem=Problem(*problem) if problem else None,
                **header,
            )


def _is_same_release(one: str, other: str) -> bool:
    # What only the last number tells apart is mended, not changed.
    return one.split(".")[:2] == other.split(".")[:2]


def _is_problem(value: Any) -> bool:
    match value:
        case [kind, words, facts]:
            return text(kind) and text(words) and isinstance(facts, dict)
    return False


def _is_section(value: Any) -> bool:
    match value:
        case [kind, calls, beside]:
            return (
                kind in ("values", "value", "error", "log") and _number(calls) and _number(beside)
            )
    return False


MOST_IN_A_CHUNK: Final = 10**8  # Calls: a list of as many errors still fits into a memory.

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
    "logs": optional(_number),
}
_REPLY: Final[dict[str, Check]] = _COMMON | {
    **dict.fromkeys(("batch", "worker"), text),
    "started": seconds,
    "first": _number,
    "ended": flag,
    "kept": optional(_number),
    "problem": optional(_is_problem),
    "sections": row_of(_is_section),
}
