"""Map-reduce."""
