"""Map-reduce: pairs of keys and values of all items, and one result for each key.

- `interface` has the public function; `job` runs its two waves of calls.
- `map_chunk` and `reduce_partition` are the functions of these calls, with the user's `steps`.
- `client_table` merges what the first calls give, as long as it is little.
- `chunk_sizer` decides how many items a call of the first wave gets.
- `tables` has pairs in memory, `blocks` as they travel, and `spill` those that do not fit.
- `keys` turns keys into bytes, by which they are sorted and divided into partitions.
"""

from distribute_challenge.mapreduce.interface import KeyResults, map_reduce

__all__ = ["KeyResults", "map_reduce"]
