"""The child side of the sandbox: language layer, jail and pipe. Imports nothing of `druse`."""
