"""Commands for developers: they measure the library, or test it under faults or for hours.

self    measures the library, and compares it with an earlier state
peers   compares it with its alternatives
faults  puts it and its alternatives under the same faults
chaos   breaks a cluster under load, at random
soak    makes millions of calls, and watches memory
rig     what chaos and the tests harm: Redis, workers and clients as real processes; no command

They run from a checkout, by ``python -m benchmarks.NAME``, and are not installed with the library.
"""
