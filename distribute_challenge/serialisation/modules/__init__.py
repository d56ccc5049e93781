"""The modules of the user's project: where they lie, what travels, how a worker imports them."""
