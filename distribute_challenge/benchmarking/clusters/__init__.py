"""What can be measured: each kind of cluster is one small class."""

from distribute_challenge.benchmarking.clusters.base import Cluster

__all__ = ["Cluster"]
