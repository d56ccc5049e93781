"""Exceptions to bytes and back, with their tracebacks and the exceptions linked to them."""
