"""The client's script, whose functions and classes travel by value, and its `__main__` on a worker."""
