"""The library beside what it was: ``python -m benchmarks.self``."""
