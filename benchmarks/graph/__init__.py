"""Measures calls that feed calls beside Ray and Dask: ``python -m benchmarks.graph``."""
