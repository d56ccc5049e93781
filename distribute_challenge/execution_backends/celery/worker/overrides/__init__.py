"""All code of the worker that changes what Celery, kombu and billiard do.

`private_names` lists the names of theirs that it uses though they are not public.
"""
