"""Measures what it costs to watch a cluster, and makes the pictures of the documentation."""
