"""Puts the library and its peers under the same faults: ``python -m benchmarks.faults``."""
