"""The MCP server: fixed surface, both protocol eras."""
