"""The embedded cluster: a private Redis server, a Celery worker, and the supervisor of both.

The supervisor ends the other two processes when the client ends.
"""

from distribute_challenge.execution_backends.celery.embedded.cluster import EmbeddedCluster

__all__ = ["EmbeddedCluster"]
