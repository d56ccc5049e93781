"""The bar that shows how many calls or items are done, and how many of them failed."""

import warnings
from types import TracebackType
from typing import Any, Self

__all__ = ["ProgressBar"]


class ProgressBar:
    """A bar of tqdm, in a terminal or a notebook. A context manager, which closes it.

    In a notebook without ipywidgets, it is plain text.

    Args:
        name: Its label; None: none.
        total: Number of calls; None if it is unknown.
        unit: What it counts.

    Guarantees: its time begins with the first call that has ended. What came before, such as the
    start of a cluster, counts neither for the rate nor for the time that is left.
    """

    def __init__(self, name: str | None, total: int | None, unit: str = "call") -> None:
        # Imported late: it takes longer than this whole package.
        from tqdm.std import TqdmWarning

        with warnings.catch_warnings():
            # "IProgress not found": plain text needs no ipywidgets.
            warnings.simplefilter("ignore", TqdmWarning)
            from tqdm.auto import tqdm

        self._bar: Any = tqdm(desc=name, total=total, unit=unit)
        self._failed = 0
        self._has_begun = False

    def update(self, ended: int, failed: int, ran_for: float) -> None:
        """Count calls that have ended.

        Args:
            ended: Their number.
            failed: Number of those that failed.
            ran_for: Seconds since the first of them began.
        """
        if not self._has_begun:
            self._begin(ran_for)
        if failed:
            self._failed += failed
            self._bar.set_postfix(failed=self._failed, refresh=False)
        self._bar.update(ended)

    def close(self) -> None:
        """Show the final numbers, and leave the bar as it is."""
        self._bar.close()

    def _begin(self, ran_for: float) -> None:
        self._has_begun = True
        bar = self._bar
        if not bar.disable:  # As by the variable TQDM_DISABLE.
            bar.start_t = bar.last_print_t = max(bar.start_t, bar._time() - ran_for)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
