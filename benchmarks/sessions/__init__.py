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

``benchmarks.peers`` and ``benchmarks.graph`` are built on all of it, ``benchmarks.faults`` on its
lower half.
"""
