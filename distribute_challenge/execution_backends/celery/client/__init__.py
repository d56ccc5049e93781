"""The client's end: calls go out, outcomes come in, and what gets lost on the way is found.

submit ─► client ─► pending (calls waiting and sent) ─► publisher ─► Redis
future ◄─ receiver ◄─ the client's receiver thread, or direct ◄───── Redis
└─ recovery ─► policy: what becomes of a call that came to nothing
beside: heartbeat, lost_messages, worker_counts, queue_timeouts, cancellation, values, detached_calls
"""
