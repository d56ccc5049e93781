"""The bar that shows how many calls have ended."""

from typing import Any

__all__ = ["progress_bar"]


def progress_bar(name: str | None, total: int | None) -> Any:
    """Make a bar of tqdm, which the caller updates and closes.

    Args:
        name: Its label; None: none.
        total: Number of calls; None if it is unknown.
    """
    from tqdm.auto import tqdm  # Imported late: it takes longer than this whole package.

    return tqdm(desc=name, total=total, unit="call")
