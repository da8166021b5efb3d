"""Real clients from npm, driven offline by a scripted model: see scripts/clients."""
