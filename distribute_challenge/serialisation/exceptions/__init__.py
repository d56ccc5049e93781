"""Exceptions to bytes and back: as themselves, with their tracebacks and all that they are linked
to.
"""
