"""Finding tools, skills and past runs; goal matching with calibrated probability."""
