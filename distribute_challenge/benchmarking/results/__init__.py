"""Turns a recording into figures, pictures and a page."""
