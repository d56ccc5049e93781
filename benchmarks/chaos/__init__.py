"""A cluster under load and faults, at random: ``python -m benchmarks.chaos``.

__main__ (the command)
  ├── storm        load and faults at random, for as long as one likes
  ├── traffic      clients under constant load; what each call is to end in
  ├── tally        what it did end in, how often it ran, how long the cluster took to come back
  ├── result       what a run has shown, as text and as JSON
  ├── player       plays a schedule against a rig
  ├── kinds        what a fault of each kind does to a rig, and which errors it excuses
  ├── victim       another client, which some kinds kill or interrupt
  └── schedule     which fault when, on what and for how long: plain values, also at random from a seed

Whatever is above may import what is below, and ``benchmarks.rig``. The suite in ``tests/faults``
plays fixed schedules on the same rig.
"""
