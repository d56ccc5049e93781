"""Does anything grow? Millions of calls, the memory of all processes, and what is left in Redis.

soak (the command)
  └── run          makes the calls, half of them by ``map`` and half by ``submit``, and looks
        ├── growth  from what was seen to how much each process has grown
        └── leftovers  which keys are left in Redis, and which of them are not documented
"""
