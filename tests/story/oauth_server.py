"""An MCP server over HTTP that wants OAuth, with its own authorization server that lets everybody in: PORT."""

import json
import secrets
import sys
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

PORT = int(sys.argv[1])
BASE = f"http://127.0.0.1:{PORT}"
TOKENS: set[str] = set()
TOOLS = [{"name": "secret", "inputSchema": {"type": "object"}}]


async def resource(request: Request) -> Response:
    return JSONResponse({"resource": f"{BASE}/mcp", "authorization_servers": [BASE]})


async def issuer(request: Request) -> Response:
    return JSONResponse(
        {
            "issuer": BASE,
            "authorization_endpoint": f"{BASE}/authorize",
            "token_endpoint": f"{BASE}/token",
            "registration_endpoint": f"{BASE}/register",
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }
    )


async def register(request: Request) -> Response:
    return JSONResponse({**(await request.json()), "client_id": "c1", "token_endpoint_auth_method": "none"}, 201)


async def authorize(request: Request) -> Response:
    given = request.query_params
    back = urlencode({"code": "the-code", "state": given["state"]})
    return RedirectResponse(f"{given['redirect_uri']}?{back}", 302)


async def token(request: Request) -> Response:
    form = await request.form()
    if form.get("code") != "the-code" and not form.get("refresh_token"):
        return JSONResponse({"error": "invalid_grant"}, 400)
    made = secrets.token_hex(8)
    TOKENS.add(made)
    return JSONResponse({"access_token": made, "token_type": "Bearer", "expires_in": 3600, "refresh_token": "r1"})


async def mcp(request: Request) -> Response:
    if request.headers.get("authorization", "").removeprefix("Bearer ") not in TOKENS:
        where = f'Bearer resource_metadata="{BASE}/.well-known/oauth-protected-resource/mcp"'
        return Response(status_code=401, headers={"www-authenticate": where})
    message = json.loads(await request.body()) if request.method == "POST" else {}
    answers = {
        "initialize": {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "paid", "version": "1"},
        },
        "tools/list": {"tools": TOOLS},
        "tools/call": {"content": [{"type": "text", "text": "for your eyes only"}]},
    }
    if "id" not in message:
        return Response(status_code=202 if request.method == "POST" else 405)
    answer = answers.get(message["method"])
    if answer is None:
        error = {"code": -32601, "message": "Method not found"}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
    return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": answer})


ROUTES = [
    Route("/.well-known/oauth-protected-resource/mcp", resource),
    Route("/.well-known/oauth-authorization-server", issuer),
    Route("/register", register, methods=["POST"]),
    Route("/authorize", authorize),
    Route("/token", token, methods=["POST"]),
    Route("/mcp", mcp, methods=["GET", "POST", "DELETE"]),
]

if __name__ == "__main__":
    uvicorn.run(Starlette(routes=ROUTES), host="127.0.0.1", port=PORT, log_level="warning")
