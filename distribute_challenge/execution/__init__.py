"""The worker's end of a call: everything that runs in the process in which the user's function
runs.
"""
