"""The client's end: sends calls, receives outcomes, and finds messages that were lost.

submit ─► client ─► pending (calls waiting and sent) ─► publisher ─► Redis
future ◄─ receiver ◄─ the client's receiver thread, or direct ◄───── Redis
└─ recovery ─► policy: whether a call without an outcome is sent again or fails
beside: heartbeat, lost_messages, worker_counts, queue_timeouts, cancellation, values,
        detached_calls
"""
