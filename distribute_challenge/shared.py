"""`put`: sends a value that many calls need to the cluster once."""

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
    # A handle can replace its value in all arguments of a call, so to type checkers it is of any
    # class.
    class _OfAnyClass(Deposited, Any):  # type: ignore[misc]
        pass
else:
    _OfAnyClass = Deposited


class Shared(_OfAnyClass, Generic[T]):
    """A handle on a value that a cluster keeps. `put` makes it.

    It can be anywhere inside the arguments of a call, and in the variables that a function
    captures; the call gets the value itself. For a call on another cluster, the value is sent
    there.

    Guarantees: the cluster keeps the value while the handle lives, and until all calls that got it
    are over.

    Attributes:
        size: Size of the pickled value, in bytes.
    """

    def __init__(self, depot: "Depot | None", parcel: Parcel, kind: str) -> None:
        super().__init__(depot, parcel)
        self._kind = kind
        parts = (self._stream, *self._references)
        self.size = sum(part.size if isinstance(part, Reference) else len(part) for part in parts)
        if depot is not None:
            self._hold = depot.hold(parcel.values)

    def get(self) -> T:
        """Return a new copy of the value.

        Its large parts may be shared with other copies, and then cannot be written to.

        Raises:
            ValueLostError: Its cluster was closed.
        """
        with folded:
            return self.value()  # type: ignore[no-any-return] # what `put` was given

    def __repr__(self) -> str:
        return f"<Shared {self._kind}, {as_size(self.size)}>"


def put(value: T, backend: Choice = None) -> Shared[T]:
    """Send a value to a cluster, once for all calls that will need it.

    Large arguments do not need it to travel only once: equal content is recognised. But content is
    compared for each call, which takes 2 ms for 50 MB; a handle is not.

    Args:
        value: The value that calls will need. It is pickled now: later changes have no effect.
        backend: As for `Distributable.compute`.

    Returns:
        A handle, to give to calls in place of the value. The cluster frees the value when the
        handle is deleted and no call needs it.

    Raises:
        SerialisationError: The value cannot be pickled.
        SystemFailureError: The cluster cannot be reached, or has no room for the value.

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
            depot.release(parcel.values)  # From here on, the handle's own hold is enough.
        return shared
