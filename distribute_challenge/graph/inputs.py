"""What other calls result in, as the inputs of calls that need it."""

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from distribute_challenge.core.futures import Future
from distribute_challenge.core.messages import Task
from distribute_challenge.errors import ValueLostError
from distribute_challenge.execution_backends.loss_report import described
from distribute_challenge.serialisation import FindDepot, Parcel, dumps_plain, pack
from distribute_challenge.serialisation.packed import Packed

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot

__all__ = ["Input"]


class Input:
    """The result of one call, for the calls that need it.

    Args:
        future: The future of the result.
        task: Its call, to show it in errors, if no other part of the program knows the future; its
            ``needs`` are empty.
        make_again: Submits the call once more, and returns its new future. None: the call cannot
            run again.

    Attributes:
        future: As given, or that of the latest run. It is dropped, with the value, when no call
            needs it any more.
        users: Number of calls that need it and have not ended, if no other part of the program
            knows the future; else None.
        make_again: As given.
    """

    __slots__ = ("_task", "future", "make_again", "users")

    def __init__(
        self,
        future: Future[Any],
        task: Task | None = None,
        make_again: Callable[[], Future[Any]] | None = None,
    ) -> None:
        self.future: Future[Any] | None = future
        self.users = None if task is None else 0
        self.make_again = make_again
        self._task = task

    def text(self) -> str:
        """Return the call as text; it never raises."""
        if self._task is not None:
            return described(self._task)
        assert self.future is not None  # Only a call that is known here is dropped.
        return self.future.call_text()

    def is_handed_out(self) -> None:
        """Note that the program has the future, so that it is not cancelled with its users."""
        self.users = None
        self.make_again = None

    def is_lost(self, keys: Collection[str]) -> bool:
        """Whether the value is not there, or lies under one of these keys, which are gone."""
        future = self.future
        if future is None or (future.done() and not future.has_value()):
            return True
        packed: Packed | None = future.packed
        return packed is not None and not set(keys).isdisjoint(packed.parcel.values)

    def find_again(self) -> None:
        """Provide a lost value once more; the future gives it later.

        Raises:
            ValueLostError: That is impossible; the error says why.
        """
        future = self.future
        if future is not None and future.has_value() and future.unopened() is None:
            future.packed = None  # This process has the value.
            return
        if self.make_again is None:
            raise ValueLostError(
                f"the result of {self.text()} is gone from where it was kept, and is not computed "
                f"again: the program has its future, or it must run only once"
            )
        self.future = self.make_again()

    def packed(self, find_depot: FindDepot) -> Parcel:
        """Return the value, packed for calls; the depot counts one more user of its parts.

        The future is done, and has a value.

        Args:
            find_depot: Returns the depot of the engine that gets the calls. It is called only for
                a value that has large parts, or that has not been packed.

        Raises:
            SerialisationError: The value cannot be pickled.
            ValueLostError: The value is gone.
            SystemFailureError: There is no room for its large parts.
        """
        future = self.future
        if future is None:
            raise ValueLostError(f"the result of {self.text()} is not kept any more")
        packed: Packed | None = future.packed
        if packed is None:
            if (unopened := future.unopened()) is not None:
                packed = unopened.package  # The value goes on as it came.
            elif small := future.small_value():
                data = dumps_plain(small[0])
                assert data is not None  # Numbers and texts are plain.
                packed = Packed(None, Parcel(data))
        if packed is not None and packed.is_plain:
            future.packed = packed
            return packed.parcel
        depot = find_depot()
        if packed is not None:
            packed = packed.for_depot(depot)
        if packed is None:
            packed = _packed(future, depot)
        # Its future keeps it for further calls.
        future.packed = packed
        if depot is not None and packed.parcel.values:
            depot.retain(packed.parcel.values)
        return packed.parcel


def _packed(future: Future[Any], depot: "Depot | None") -> Packed:
    parcel = pack(future.result(), f"the result of {future.name}", lambda: depot)
    if depot is None or not parcel.values:
        return Packed(depot, parcel)
    # One user for as long as the future lives.
    hold = depot.hold(parcel.values)
    depot.release(parcel.values)
    return Packed(depot, parcel, hold)
