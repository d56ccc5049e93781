"""Map-reduce: keys that are the same in every process.

- `keys` turns keys into bytes, by which they are sorted and divided into partitions.
"""
