"""Millions of calls on an embedded cluster: ``python -m benchmarks.soak``.

__main__ (the command)
  └── run          makes the calls, half of them by ``map`` and half by ``submit``, and looks
        ├── growth  from what was seen to how much each process has grown
        └── leftovers  which keys are left in Redis, and which of them are not documented
"""
