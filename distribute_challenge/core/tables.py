"""Tables as text, for a terminal."""

from collections.abc import Collection, Sequence
from numbers import Real

from distribute_challenge.core.printable import printable

__all__ = ["table"]

GAP = "  "


def table(
    heads: Sequence[str], rows: Sequence[Sequence[object]], *, right: Collection[int] = ()
) -> str:
    """Return a table as text, with columns two spaces apart.

    Args:
        heads: The heads of the columns.
        rows: Rows with one cell for each column; their text is made `printable`.
        right: Indices of columns to align on the right, from 0. Columns that hold only numbers are
            always aligned so.

    Returns:
        The lines, without spaces or a newline at the end.

    Examples:
        >>> print(table(["name", "messages"], [["urgent", 5], ["slow", 1200]]))
        name    messages
        urgent         5
        slow        1200
    """
    columns = range(len(heads))
    on_the_right = {
        *right,
        *(i for i in columns if rows and all(isinstance(row[i], Real) for row in rows)),
    }
    cells = [heads, *([printable(str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in columns]
    return "\n".join(
        GAP.join(
            row[i].rjust(widths[i]) if i in on_the_right else row[i].ljust(widths[i])
            for i in columns
        ).rstrip()
        for row in cells
    )
