"""Calls that feed calls: a call runs when the futures and calls in its arguments have ended.

- `submission` submits a call after the calls that it needs, each of them once.
- `waiting_call` has the future of a call that waits for others.
- `inputs` packs what other calls result in, once for all calls that need it.
- `values` puts the inputs of a call into its task.
- `release` has the threads in which a call that has all its inputs goes to its engine.
"""
