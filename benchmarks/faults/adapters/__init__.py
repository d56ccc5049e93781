"""The client's part of each system; a client imports only the module of its own system."""
