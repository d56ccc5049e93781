"""Commands for developers: they measure the library, or test it under faults or for hours.

self       measures the library, and compares it with an earlier state
growth     measures how cost grows with workers, clients, calls in flight and sizes
peers      compares it with its alternatives
graph      compares calls that feed calls with those of Ray and Dask
faces      compares interfaces of others, on the library, with what they run on otherwise
mapreduce  compares `map_reduce` with `multiprocessing.Pool`, Ray and Dask
queues     compares queues and their consumers with those of others
faults     puts it and its alternatives under the same faults
chaos      breaks a cluster under load, at random
soak       makes millions of calls, and watches memory

Two rooms are no commands: ``rig`` is what chaos and the tests harm, which is Redis, workers and
clients as real processes; ``sessions`` measures systems side by side, for peers, graph, faces,
mapreduce, queues and faults.

They run from a checkout, by ``python -m benchmarks.NAME``, and are not installed with the library.
``python -m benchmarks`` runs those that have targets, and shows which are reached.
"""
