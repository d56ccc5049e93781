"""Measures a cluster, and makes a recording."""
