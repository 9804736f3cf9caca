"""A scripted stand-in for the Messages API, so that the REAL `claude` binary can be run offline.

    python3 messages_api.py PORT SCENARIO.json [REQUEST_LOG]

Listens on 127.0.0.1 alone; PORT 0 takes a free one. The first line on stdout
says which: `listening on 127.0.0.1:PORT`.
Point the binary at it with

    ANTHROPIC_BASE_URL=http://127.0.0.1:PORT ANTHROPIC_API_KEY=sk-ant-dummy
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 DISABLE_TELEMETRY=1 DISABLE_AUTOUPDATER=1

A scenario is {"rules": [RULE, ...]}. A request takes the first rule whose "when" (a substring of the JSON of
what came after the last assistant message; none matches anything) fits and whose "times" (how often it may
serve; unlimited if absent) is not used up; one with "until" serves until that file is there. A RULE answers with
one of
    "reply":  [BLOCK, ...]   BLOCK = {"text": ...} | {"thinking": ...} | {"tool": NAME, "input": {...}}
    "status": CODE, "error": TYPE, "message": TEXT     an API error
    "stall":  SECONDS        headers and message_start, then silence
    "cut":    true           the connection breaks in the middle of the answer
    "page":   TEXT           with "status": a proxy's own page instead of an API error
and may carry "delay": SECONDS between text deltas, "usage": {...} (merged over the default usage), "stop": STOP_REASON,
"stop_details": {...}, "headers": {...} and "model": a substring of the model's name (it serves requests for such a
model alone). A BLOCK may also be {"raw": ANYTHING, "deltas": [...]}: a content block as it is, however malformed.
Whole request bodies, with path and authorization, are appended to the file $REQUEST_BODIES, if that is set.
`@CWD@` in a scenario stands for $AGENT_CWD, or the folder in which this server was started.
"""

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, TextIO

Json = dict[str, Any]
DEFAULT_USAGE = {"input_tokens": 12, "cache_creation_input_tokens": 340, "cache_read_input_tokens": 5600}
NO_RULE: Json = {"reply": [{"text": "(no rule of the scenario fits this request)"}]}


class Scenario:
    """The rules of one scenario file, with what each has served so far."""

    def __init__(self, rules: Sequence[Json]) -> None:
        self.rules: list[Json] = [dict(rule, served=0) for rule in rules]
        self.lock = threading.Lock()
        self.ids = itertools.count(1)

    def pick(self, messages: Sequence[Json], model: str) -> Json:
        """The first rule with uses left that fits what came after the last assistant message."""
        new = list(itertools.takewhile(lambda m: m["role"] != "assistant", reversed(messages)))
        haystack = json.dumps(new, ensure_ascii=False)
        with self.lock:
            for rule in self.rules:
                if "until" in rule and Path(rule["until"]).exists():
                    continue
                if rule.get("model", "") not in model:
                    continue
                if rule.get("when", "") in haystack and rule["served"] < rule.get("times", float("inf")):
                    rule["served"] += 1
                    return rule
        return NO_RULE


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scenario: ClassVar[Scenario]
    log: ClassVar[TextIO | None] = None
    bodies: ClassVar[Path | None] = None
    bodies_lock = threading.Lock()

    def log_message(self, *args: object) -> None:
        pass

    def _note(self, line: str) -> None:
        if self.log:
            self.log.write(f"{line}\n")
            self.log.flush()

    def _json(self, code: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        fields = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _page(self, code: int, page: bytes) -> None:
        self.send_response(code)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def do_GET(self) -> None:
        self._note(f"GET {self.path}")
        self._json(200, {})

    do_HEAD = do_GET  # noqa: N815 (the base class's name)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        request = json.loads(body or b"{}")
        self._keep(request)
        self._note(
            f"POST {self.path} model={request.get('model')} stream={request.get('stream')} "
            f"messages={len(request.get('messages') or [])}"
        )
        if "count_tokens" in self.path:
            return self._json(200, {"input_tokens": 1234})
        if "/v1/messages" not in self.path:
            return self._json(200, {})
        rule = self.scenario.pick(request["messages"], request.get("model") or "")
        if "page" in rule:
            return self._page(rule["status"], rule["page"].encode())
        if "status" in rule:
            error = {"type": rule.get("error", "api_error"), "message": rule.get("message", "scripted error")}
            return self._json(rule["status"], {"type": "error", "error": error}, rule.get("headers"))
        return self._answer(request, rule)

    def _keep(self, request: Json) -> None:
        if self.bodies is not None:
            record = {"path": self.path, "authorization": self.headers.get("authorization"), "body": request}
            line = json.dumps(record, ensure_ascii=False)
            with self.bodies_lock, self.bodies.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")

    def _answer(self, request: Json, rule: Json) -> None:
        n = next(self.scenario.ids)
        usage = {**DEFAULT_USAGE, **rule.get("usage", {})}
        blocks = rule.get("reply", [])
        stop = rule.get("stop") or ("tool_use" if any("tool" in b for b in blocks) else "end_turn")
        out_tokens = usage.pop("output_tokens", 42)
        head = {"id": f"msg_{n:04}", "type": "message", "role": "assistant", "model": request.get("model")}
        if not request.get("stream"):
            content = [self._whole(b) for b in blocks if "thinking" not in b]
            total = {**usage, "output_tokens": out_tokens}
            return self._json(200, {**head, "content": content, **_stop(stop), "usage": total})
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.send_header("request-id", f"req_{n:04}")
        for name, value in rule.get("headers", {}).items():
            self.send_header(name, value)
        self.end_headers()
        start = {**head, "content": [], **_stop(None), "usage": {**usage, "output_tokens": 1}}
        self._event("message_start", message=start)
        if "stall" in rule:
            time.sleep(rule["stall"])
        for index, block in enumerate(blocks):
            self._block(index, block, rule)
            if rule.get("cut"):
                self.close_connection = True
                self.connection.close()
                return None
        delta = _stop(stop) | ({"stop_details": rule["stop_details"]} if "stop_details" in rule else {})
        self._event("message_delta", delta=delta, usage={"output_tokens": out_tokens})
        self._event("message_stop")
        self.wfile.write(b"0\r\n\r\n")
        return None

    def _whole(self, block: Json) -> Json:
        if "raw" in block:
            return block["raw"]  # type: ignore[no-any-return]
        if "tool" in block:
            return self._tool(block, block["input"])
        return {"type": "text", "text": block["text"]}

    def _tool(self, block: Json, given: Json) -> Json:
        return {
            "type": "tool_use",
            "id": f"toolu_{next(self.scenario.ids):04}",
            "name": block["tool"],
            "input": given,
        }

    def _block(self, index: int, block: Json, rule: Json) -> None:
        start: Json
        deltas: list[Json]
        if "raw" in block:
            start, deltas = block["raw"], block.get("deltas", [])
        elif "tool" in block:
            start = self._tool(block, {})
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        elif "thinking" in block:
            start = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": "c2ln"},
            ]
        else:
            start = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": line} for line in block["text"].splitlines(keepends=True)]
        self._event("content_block_start", index=index, content_block=start)
        for delta in deltas:
            self._event("content_block_delta", index=index, delta=delta)
            time.sleep(rule.get("delay", 0))
        self._event("content_block_stop", index=index)

    def _event(self, kind: str, **fields: object) -> None:
        data = f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def _stop(reason: str | None) -> Json:
    return {"stop_reason": reason, "stop_sequence": None}


class Server(ThreadingHTTPServer):
    """The server of one scenario; `serve_forever` serves."""

    daemon_threads = True

    def __init__(
        self, port: int, scenario: Path, folder: Path, *, log: TextIO | None = None, bodies: Path | None = None
    ) -> None:
        text = scenario.read_text(encoding="utf-8").replace("@CWD@", str(folder))
        own = {"scenario": Scenario(json.loads(text)["rules"]), "log": log, "bodies": bodies}
        super().__init__(("127.0.0.1", port), type("ScenarioHandler", (Handler,), own))

    def handle_error(self, *_: object) -> None:
        pass  # a client that hangs up in the middle of an answer is part of several scenarios


def main(port: str, scenario: str, request_log: str | None = None) -> None:
    folder = Path(os.environ.get("AGENT_CWD") or Path.cwd())
    bodies = Path(os.environ["REQUEST_BODIES"]) if "REQUEST_BODIES" in os.environ else None
    log = None
    if request_log is not None:
        log = Path(request_log).open("a", encoding="utf-8")  # noqa: SIM115 (open as long as the process)
    server = Server(int(port), Path(scenario), folder, log=log, bodies=bodies)
    sys.stdout.write(f"listening on 127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
