"""A cluster that is broken on purpose: real processes, and what can happen to them, as data.

chaos (the command)
  ├── storm        load and faults at random, for as long as one likes
  ├── traffic      clients under constant load; what each call is to end in
  ├── tally        what it did end in, how often it ran, how long the cluster took to come back
  ├── player       plays a schedule against a rig
  ├── kinds        what a fault of each kind does to a rig, and which errors it excuses
  ├── schedule     which fault when, on what and for how long: plain values, also at random from a seed
  └── rig          Redis, workers and the lines between them
        ├── redis_process, worker_process, client_process
        ├── proxy          a line that can be cut, silenced, refused, slowed down and made narrow
        ├── small_disk     a file system that one worker sees alone, and that can be full
        ├── shifted_clock  a clock that one program has, and that can be set
        └── diary          how often did a call run?

Whatever is above may import what is below. The suite in ``tests/faults`` plays fixed schedules on
the same rig.
"""
