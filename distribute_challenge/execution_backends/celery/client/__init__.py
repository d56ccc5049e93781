"""The client's end: calls go out, outcomes come in, and what gets lost on the way is found.

submit ─► client ─► books (calls waiting and sent) ─► publisher ─► Redis
future ◄─ intake ◄───── client's receiver, or direct ◄──────────── Redis
└─ recovery ─► policy: what becomes of a call that came to nothing
beside: ledger (vanished messages), queue_times, census (who is there), cancelling, values, detached_calls
"""
