"""What clients and workers both know of Redis.

The modules here say how to reach it, which keys it holds, and what messages, commands and signs of
life look like.
"""
