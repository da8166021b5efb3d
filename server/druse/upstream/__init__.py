"""MCP clients of the servers in mcp.json."""

from druse.upstream.names import wire_name
from druse.upstream.provider import Upstreams
from druse.upstream.servers import ServerEntry, read_servers, servers_of

__all__ = ["ServerEntry", "Upstreams", "read_servers", "servers_of", "wire_name"]
