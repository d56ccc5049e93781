"""Map-reduce: pairs of keys and values, by key.

- `tables` has pairs in memory, `blocks` as they travel, and `spill` those that do not fit.
- `keys` turns keys into bytes, by which they are sorted and divided into partitions.
"""
