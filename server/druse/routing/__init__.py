"""The registry of tools and the router: the only way to an effect."""
