"""Measures `Queue` and its consumers, beside what others have."""
