"""What other calls result in, as the inputs of calls that need it."""

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.serialisation import Parcel, pack

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot, Hold

__all__ = ["RESULT", "Input"]

#: In the text of a call: what another call results in, by its number.
RESULT = re.compile(r"<result (\d+)>")


class Packed(NamedTuple):
    """A value as it travels to the calls that need it; its future keeps it for further calls.

    Args:
        depot: The depot that it was packed for; None: none.
        parcel: The packed value.
        hold: Keeps its large parts in the depot.
    """

    depot: "Depot | None"
    parcel: Parcel
    hold: "Hold | None"


class Input:
    """The result of one call, for the calls that need it.

    Args:
        future: The future of the result.
        task: Its call, to show it in errors, if no other part of the program knows the future; its
            ``needs`` are empty.

    Attributes:
        future: As given.
        users: Number of calls that need it and have not begun, if no other part of the program
            knows the future; else None.
    """

    def __init__(self, future: Future[Any], task: Task | None = None) -> None:
        self.future = future
        self.users = None if task is None else 0
        self._task = task

    def text(self) -> str:
        """Return the call as text; it never raises."""
        if self._task is None:
            return self.future.call_text()
        return RESULT.sub("...", described(self._task))

    def is_handed_out(self) -> None:
        """Note that the program has the future, so that it is not cancelled with its users."""
        self.users = None

    def packed(self, engine: ExecutionBackend) -> Parcel:
        """Return the value, packed for an engine; the depot counts one more user of its parts.

        The future is done, and has a value.

        Raises:
            SerialisationError: The value cannot be pickled.
            SystemFailureError: There is no room for its large parts.
        """
        depot = engine.depot()
        packed: Packed | None = self.future.packed
        if packed is None or packed.depot is not depot:
            parcel = pack(self.future.result(), f"the result of {self.future.name}", lambda: depot)
            hold = None
            if depot is not None and parcel.values:
                # One user for as long as the future lives.
                hold = depot.hold(parcel.values)
                depot.release(parcel.values)
            packed = self.future.packed = Packed(depot, parcel, hold)
        if depot is not None and packed.parcel.values:
            depot.retain(packed.parcel.values)
        return packed.parcel
