"""Measures systems side by side: each in processes of its own, round after round.

rounds        starts a session for each system in turn, and records what it answers
  ├── entry         a system of a catalogue, and where its class is
  ├── environments  Python environments of systems whose requirements clash
  ├── dialogue      orders to a session, and its answers
  └── session       the process of one system, which carries out the orders
        ├── services   Redis and the workers of that system
        └── processes  ends what the session has started
results       what a run has found: medians, spread and ratios
targets       what was to be reached, and what was
chart         draws a run
benchmark     a benchmark as a whole: how to run it, its targets and its chart
side_by_side  benchmarks of work that starts its systems by itself
memory        the most memory that a client and Redis take

``benchmarks.peers`` and ``benchmarks.graph`` are built on all of it, ``benchmarks.faces``,
``benchmarks.mapreduce`` and ``benchmarks.queues`` on ``side_by_side``, and ``benchmarks.faults`` on
the lower half.
"""
