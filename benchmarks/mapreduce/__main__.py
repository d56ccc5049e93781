"""``python -m benchmarks.mapreduce``: `map_reduce` beside `multiprocessing.Pool`, Ray and Dask.

    pip install -e ".[dask]" --group peers pandas pyarrow
    python -m benchmarks.mapreduce --workers 2
    python -m benchmarks.mapreduce --only more_words --rounds 1     # 1 GB

What is not installed is left out.
"""

from benchmarks.mapreduce.benchmark import MAP_REDUCE
from benchmarks.sessions.side_by_side_command import command

__all__ = ["main"]

main = command(MAP_REDUCE, "Measure map_reduce, beside multiprocessing.Pool, Ray and Dask.")

if __name__ == "__main__":
    main(prog_name="python -m benchmarks.mapreduce")
