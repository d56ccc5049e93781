"""The client's script: its functions and classes travel by value, to a `__main__` on the worker."""
