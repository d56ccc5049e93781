"""Writes numbers and tables as Markdown."""

from collections.abc import Sequence

__all__ = ["markdown_table", "number"]


def number(value: float) -> str:
    """Write a number with three significant digits, and with commas between thousands.

    Example:
        >>> [number(each) for each in (0.012345, 1.2345, 123.45, 812345.0, -3.21, 99.96)]
        ['0.0123', '1.23', '123', '812,000', '-3.21', '100']
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{rounded:.3g}"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the lines of a table, the heads first.

    Example:
        >>> print(markdown_table(["what", "figure"], [["import", "0.05 s"]]))
        | what | figure |
        | --- | --- |
        | import | 0.05 s |
    """
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])
