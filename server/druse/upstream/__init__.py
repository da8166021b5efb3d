"""MCP clients of the servers in mcp.json."""
