"""Programs that measure the library, and programs that test it under faults or for hours.

self   measures the library, and compares it with an earlier state
peers  compares it with its alternatives
faults ─ puts it and its alternatives under the same faults
chaos  breaks a cluster under load, at random
soak   makes millions of calls, and watches memory
  └── rig   Redis, workers and clients as real processes that can be harmed

They are for developers and run from a checkout: none of them is installed with the library.
"""
