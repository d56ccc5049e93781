"""The embedded cluster's processes: a private Redis server, one Celery worker, and what ends them with the client."""

from distribute_challenge.cluster.embedded import EmbeddedCluster

__all__ = ["EmbeddedCluster"]
