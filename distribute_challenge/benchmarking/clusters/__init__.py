"""The clusters that can be measured: each kind is one class."""

from distribute_challenge.benchmarking.clusters.base import Cluster

__all__ = ["Cluster"]
