"""Recording of runs, secret handles, goal shapes, import and export."""
