"""What is reached over HTTP beside MCP: the API of llmos-lite's table, and the page of `druse dashboard`."""
