"""The library beside what its users would take instead: ``python -m benchmarks.peers``."""
