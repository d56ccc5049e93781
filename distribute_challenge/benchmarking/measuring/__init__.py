"""From a cluster to a recording."""
