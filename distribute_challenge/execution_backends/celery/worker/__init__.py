"""The worker's end: a Celery worker whose messages pass a gate, whose books outlast its
connections, and whose dead are reported.

    Redis ─► transport ─► gate ─► Celery ─► pool ─► a child: task ─► execution ─► replying ─► Redis
                 └─ held: the book of what is in work; sweeping: what other workers have lost
    beside: steps (signs of life, hooks), request (answers for children: deaths, flight_recorder, memory), stopping (cancelled calls)

``program`` starts it; ``application`` has the settings.
"""
