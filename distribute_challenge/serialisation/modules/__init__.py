"""The modules of the user's project: where they lie, what of them travels, and how a worker imports
them.
"""
