"""Measures the library behind interfaces of others, beside what these run on otherwise."""
