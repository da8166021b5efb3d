"""The host side of the sandbox: worker pool, limits, broker end of the pipe."""
