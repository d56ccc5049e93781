"""The client's side of each system, loaded in the environment of that system alone."""
