"""A future as text: which call it is, how far it has come, and where.

It asks no broker, waits for nothing, and unpickles nothing.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from distribute_challenge.core.guarded import shown
from distribute_challenge.core.unopened import Unopened

if TYPE_CHECKING:
    from distribute_challenge.core.futures import Future

__all__ = ["MOST_TEXT", "FutureText", "short"]

MOST_TEXT = 200  # Characters of a call, a value or an exception; a guess at what people read.


class FutureText(NamedTuple):
    """What is known of a future, as text.

    Attributes:
        call: The call, with its arguments as long as its engine keeps them.
        state: ``"pending"``, ``"running"`` with the place if it is known, ``"cancelled"``,
            ``"failed"`` or ``"finished"``.
        outcome: The value or the exception; empty if there is none, or if the value has come and
            nothing has asked for it.
        time: How long it ran; empty if that is not known.
        worker: The process that ran it; empty if that is not known.
    """

    call: str
    state: str
    outcome: str = ""
    time: str = ""
    worker: str = ""

    @classmethod
    def of(cls, future: "Future[Any]") -> Self:
        """Describe a future."""
        if future.cancelled():
            return cls(future.name, "cancelled")
        if not future.done():
            return cls(short(future.call_text()), future.stage())
        time = worker = ""
        if (timeline := future.timeline) is not None:
            from distribute_challenge.core.units import seconds  # Few programs show a future.

            time, worker = seconds(timeline.running), timeline.worker
        error, value = future._exception, future._result
        if error is not None:
            return cls(future.name, "failed", short(shown(error)), time, worker)
        outcome = "" if type(value) is Unopened else short(shown(value))
        return cls(future.name, "finished", outcome, time, worker)

    def line(self) -> str:
        """Return all of it as one line."""
        parts = [self.call, self.state, self.outcome]
        parts += [f"in {self.time}"] if self.time else []
        parts += [f"on {self.worker}"] if self.worker else []
        return " ".join(filter(None, parts))

    def html(self) -> str:
        """Return all of it as HTML, for notebooks."""
        from distribute_challenge.core.card import card  # Few programs show a future.

        rows = [
            ("call", self.call),
            ("state", self.state),
            ("error" if self.state == "failed" else "result", self.outcome),
            ("ran for", self.time),
            ("worker", self.worker),
        ]
        return card("Future", rows)


def short(text: str) -> str:
    r"""Return a text on one line, and without its end if it is long.

    Examples:
        >>> short("   x  y\n0  1  2")
        'x y 0 1 2'
    """
    if "\n" in text:
        text = " ".join(text.split())
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 3]}..."
