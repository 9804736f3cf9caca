"""A stdio MCP server with one tool, `word`, which gives the word in its first argument; standard library only."""

import json
import sys
from typing import Any


def reply_to(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        about = {"name": "words", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": about}
    if method == "tools/list":
        tool = {"name": "word", "description": "gives a word", "inputSchema": {"type": "object", "properties": {}}}
        return {"tools": [tool]}
    return {"content": [{"type": "text", "text": sys.argv[1]}]} if method == "tools/call" else {}


for line in sys.stdin:
    request = json.loads(line)
    if "id" in request:
        result = reply_to(request["method"], request.get("params", {}))
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}) + "\n")
        sys.stdout.flush()
