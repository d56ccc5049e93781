"""Numbers of bytes as text, in errors, logs and reprs."""

__all__ = ["as_size"]


def as_size(size: float) -> str:
    """Return a number of bytes as text; 1 kB is 1,000 bytes.

    Examples:
        >>> as_size(64_000_000), as_size(3_900_000_000), as_size(100)
        ('64.0 MB', '3.9 GB', '100 bytes')
    """
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:  # From 999.95 on, it would be shown as 1000.0.
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"
