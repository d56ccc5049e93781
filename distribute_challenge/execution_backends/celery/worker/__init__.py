"""The worker's end: a Celery worker that checks each message, and reports child processes that die.

    Redis ─► transport ─► gate ─► Celery ─► pool ─► a child: task ─► execution ─► replying ─► Redis
                 └─ unacked: the messages held here; reaper: what other workers have lost
    beside: bootsteps (presence, hooks), cancellation, and
            request (answers for dead children, with crash_reports, flight_recorder and memory)

``main`` starts it; ``app`` has the settings.
"""
