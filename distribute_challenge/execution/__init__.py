"""The worker's end of a call: the code in the process that runs the user's function."""
