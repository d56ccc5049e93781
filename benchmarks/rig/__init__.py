"""A cluster that is broken on purpose: real processes, and what can happen to them.

rig  Redis, workers and the lines between them
  ├── redis_process, worker_process, client_process
  ├── proxy          a line that can be cut, silenced, refused, slowed down and made narrow
  ├── small_disk     a file system that one worker sees alone, and that can be full
  ├── shifted_clock  a clock that one program has, and that can be set
  ├── other_version  a copy of the library that says that it is of another version
  ├── calls          the calls that run while faults happen
  └── diary          how often did a call run?

``benchmarks.chaos`` and the tests use it, above all those in ``tests/faults``; ``benchmarks.faults``
keeps its diary, too. Workers have none of this package: the module of the calls travels with them,
as a user's module does, and so does what it imports.
"""
