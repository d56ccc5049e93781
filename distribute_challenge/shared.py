"""`put`: a value that many calls need goes to the cluster once."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from distribute_challenge.core.folding import folded
from distribute_challenge.core.references import Reference
from distribute_challenge.core.sizes import as_size
from distribute_challenge.execution_backends.registry import Choice, resolve
from distribute_challenge.serialisation import Deposited, Parcel, pack

if TYPE_CHECKING:
    from distribute_challenge.stores import Depot

__all__ = ["Shared", "put"]

T = TypeVar("T")


if TYPE_CHECKING:
    # A handle stands in for its value wherever a call takes that, so to type checkers it is of any
    # class.
    class _OfAnyClass(Deposited, Any):  # type: ignore[misc]
        pass
else:
    _OfAnyClass = Deposited


class Shared(_OfAnyClass, Generic[T]):
    """A handle on a value that a cluster keeps. Made by `put`.

    It can stand anywhere inside the arguments of a call, and in what a function captures; the call
    gets the value itself. A cluster other than its own is sent the value.

    Guarantees: the value stays where it is as long as the handle lives, or a call that got it is
    not over.

    Attributes:
        size: Bytes of the pickled value.
    """

    def __init__(self, depot: "Depot | None", parcel: Parcel, kind: str) -> None:
        super().__init__(depot, parcel)
        self._kind = kind
        parts = (self._stream, *self._references)
        self.size = sum(part.size if isinstance(part, Reference) else len(part) for part in parts)
        if depot is not None:
            self._hold = depot.hold(parcel.values)

    def get(self) -> T:
        """The value, or rather a new one like it: what is large in it may be shared, and then
        cannot be written to.

        Raises:
            ValueLostError: Its cluster was closed.
        """
        with folded:
            return self.value()  # type: ignore[no-any-return] # what `put` was given

    def __repr__(self) -> str:
        return f"<Shared {self._kind}, {as_size(self.size)}>"


def put(value: T, backend: Choice = None) -> Shared[T]:
    """Send a value to a cluster, once for all calls that will need it.

    Large arguments are recognised without this: equal content travels once in any case. But it is
    compared for each call, which takes 2 ms for 50 MB; a handle is not.

    Args:
        value: What calls will need. It is pickled now: what happens to it later does not matter.
        backend: As for `Distributable.compute`.

    Returns:
        A handle, to be given to calls in the value's place. The value is gone when the handle is,
        and no call needs it.

    Raises:
        SerialisationError: It cannot be pickled.
        SystemFailureError: The cluster cannot be reached, or has no room for it.

    Examples:
        >>> from distribute_challenge import compute_this, put
        >>> numbers = put(list(range(1000)))
        >>> compute_this(sum)(numbers).compute()
        499500
    """
    with folded:
        find_depot = resolve(backend).depot
        parcel = pack(value, f"the {type(value).__name__} to be shared", find_depot)
        depot = find_depot()
        shared: Shared[T] = Shared(depot, parcel, type(value).__name__)
        if depot is not None:
            depot.release(parcel.values)  # The handle's own hold is enough from here on.
        return shared
