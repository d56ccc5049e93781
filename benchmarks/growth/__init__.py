"""Measures how the cost of calls grows: ``python -m benchmarks.growth``.

sweeps     what grows, and through which values
measuring  takes the figures of one value, in a session of its own
client     a process that makes calls, as many at a time as it is told
standing   measures what workers and clients that have nothing to do ask of Redis
limits     says which process is the limit
report     writes the tables
chart      draws the figures
"""
