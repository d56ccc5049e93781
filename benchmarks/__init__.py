"""Commands for developers: they measure the library, or test it under faults or for hours.

self    measures the library, and compares it with an earlier state
peers   compares it with its alternatives
graph   compares calls that feed calls with those of Ray and Dask
faults  puts it and its alternatives under the same faults
chaos   breaks a cluster under load, at random
soak    makes millions of calls, and watches memory

Two rooms are no commands: ``rig`` is what chaos and the tests harm, which is Redis, workers and
clients as real processes; ``sessions`` measures systems side by side, for peers, graph and
faults.

They run from a checkout, by ``python -m benchmarks.NAME``, and are not installed with the library.
"""
