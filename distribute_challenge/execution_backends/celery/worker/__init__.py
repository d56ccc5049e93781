"""The worker's end: a Celery worker that checks each message, and reports child processes that die.

    Redis ─► transport ─► gate ─► Celery ─► pool ─► a child: task ─► execution ─► replying ─► Redis
                 └─ held: the unacknowledged messages; sweeping: what other workers have lost
    beside: bootsteps (presence, hooks), stopping (cancelled calls), and
            request (answers for dead children, with deaths, flight_recorder and memory)

``main`` starts it; ``app`` has the settings.
"""
