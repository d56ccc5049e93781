"""What both ends know of Redis: how to reach it, what lies where in it, and what the messages,
orders and signs of life look like.
"""
