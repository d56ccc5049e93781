"""The embedded cluster's processes: a private Redis server, one Celery worker, and what ends them
with the client.
"""

from distribute_challenge.execution_backends.celery.embedded.cluster import EmbeddedCluster

__all__ = ["EmbeddedCluster"]
