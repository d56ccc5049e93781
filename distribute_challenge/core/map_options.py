"""The options of a map: one frozen value, checked when it is made."""

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from distribute_challenge.errors import OptionError, ResultTimeoutError

__all__ = ["MapOptions", "OnError"]

OnError = Literal["raise", "return"]


@dataclass(frozen=True, slots=True)
class MapOptions:
    """Options of one run of `map` or `starmap`.

    Args:
        ordered: True: results come in the order of the items; False: as calls end.
        on_error: ``"raise"`` the first exception, or ``"return"`` exceptions in place of values.
        progress: Show a progress bar.
        batch_size: Number of calls in each chunk; None: adapted to how long they take.
        timeout: Seconds to wait for each result, counted from when the map begins; None: for ever.

    Raises:
        OptionError: A value is out of its range; the message names it.
    """

    ordered: bool = True
    on_error: OnError = "raise"
    progress: bool = False
    batch_size: int | None = None
    timeout: float | None = None

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "return"):
            raise OptionError(f"on_error={self.on_error!r}: expected 'raise' or 'return'")
        _check_size("batch_size", self.batch_size)
        seconds = self.timeout
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (is_number and 0 <= seconds < inf):
            raise OptionError(
                f"timeout={seconds!r}: expected seconds of at least 0, or None for no limit"
            )

    @classmethod
    def of(
        cls, *, chunksize: int | None = None, return_exceptions: bool = False, **options: Any
    ) -> "MapOptions":
        """Make the options of a map, with names that users of other libraries know.

        Args:
            chunksize: Another name of ``batch_size``.
            return_exceptions: True: the same as ``on_error="return"``.
            options: The options of the class.

        Raises:
            OptionError: As for the class; or an option is given under both names.
        """
        if chunksize is not None:
            _check_size("chunksize", chunksize)
            if options.get("batch_size") is not None:
                raise OptionError(
                    f"got chunksize={chunksize} and batch_size={options['batch_size']}, which are "
                    f"the same: give one of them"
                )
            options["batch_size"] = chunksize
        if not isinstance(return_exceptions, bool):
            raise OptionError(f"return_exceptions={return_exceptions!r}: expected True or False")
        if return_exceptions:
            options["on_error"] = "return"
        return cls(**options)

    def late(self, name: str) -> ResultTimeoutError:
        """Return the error of a map whose time is over.

        Args:
            name: Name of its function.
        """
        return ResultTimeoutError(
            f"a map of {name} gave no further result within timeout={self.timeout:g} s, counted "
            f"from when its first one was asked for; calls that have not begun were cancelled. "
            f"Give it more time"
        )


def _check_size(name: str, size: Any) -> None:
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise OptionError(f"{name}={size!r}: expected a whole number of at least 1, or None")
