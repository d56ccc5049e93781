"""Measures the library, and compares it with an earlier state: ``python -m benchmarks.self``."""
