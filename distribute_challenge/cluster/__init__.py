"""The embedded cluster: a private Redis server, a Celery worker, and the supervisor of both.

The supervisor ends the other two processes when the client ends.
"""

from distribute_challenge.cluster.embedded import EmbeddedCluster

__all__ = ["EmbeddedCluster"]
