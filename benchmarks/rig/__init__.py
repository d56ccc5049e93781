"""A cluster that is broken on purpose: real processes, and what can happen to them.

rig  Redis, workers and the lines between them
  ├── redis_process, worker_process, client_process
  ├── proxy          a line that can be cut, silenced, refused, slowed down and made narrow
  ├── small_disk     a file system that one worker sees alone, and that can be full
  ├── shifted_clock  a clock that one program has, and that can be set
  ├── other_version  a copy of the library that says that it is of another version
  ├── calls          the calls that run while faults happen
  └── diary          how often did a call run?

Used by ``benchmarks.chaos``, ``benchmarks.soak``, ``benchmarks.faults`` and the tests, above all by
those in ``tests/faults``. Workers need nothing of this package: the module of the calls, and what it
imports, travel with them.
"""
