"""Measures `map_reduce`, beside `multiprocessing.Pool`, Ray and Dask."""
