"""MCP clients of the servers in mcp.json."""

from typing import TYPE_CHECKING

from druse.later import parts_of

if TYPE_CHECKING:
    from druse.upstream.names import wire_name
    from druse.upstream.provider import Upstreams
    from druse.upstream.servers import ServerEntry, read_servers, server_named, servers_of
else:
    __getattr__ = parts_of(
        __name__,
        names=("wire_name",),
        provider=("Upstreams",),
        servers=(
            "ServerEntry",
            "read_servers",
            "server_named",
            "servers_of",
        ),
    )

__all__ = ["ServerEntry", "Upstreams", "read_servers", "server_named", "servers_of", "wire_name"]
