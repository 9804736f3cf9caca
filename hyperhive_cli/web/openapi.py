"""The OpenAPI document, generated from the tables in `web.api`. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hyperhive_cli.web.api import (
    CHANGE_ROUTES,
    GLOBAL_CHANGES,
    GLOBAL_ROUTES,
    READ_ROUTES,
    ChangeRoute,
    Field,
    ReadRoute,
)
from hyperhive_cli.web.sse import MEDIA_TYPE

_AGENT = "/agents/{agent}"
_ERROR = {"$ref": "#/components/schemas/Error"}
# The schema of each field of a reply.
_REPLY_FIELDS: Mapping[str, Mapping[str, Any]] = {
    "id": {"type": "integer"},
    "state": {"type": "string"},
    "not_before": {"type": "integer"},
    "sent_before": {"type": "boolean"},
    "model": {"type": "string"},
    "outcome": {"type": "string"},
    "note": {"type": ["string", "null"]},
    "context_tokens": {"type": ["integer", "null"]},
    "rested": {"type": "boolean"},
    "message": {"type": "object"},
    "schedule": {"type": "object"},
    "budget": {"type": ["object", "null"]},
    "login": {"type": ["object", "null"]},
}


def document() -> dict[str, Any]:
    """Return the document. Each route of one agent is listed twice: with the agent's name in its path, and without."""
    paths: dict[str, dict[str, Any]] = {route.path: {"get": _read(route)} for route in GLOBAL_ROUTES}
    paths |= {route.path: {"post": _change(route, "")} for route in GLOBAL_CHANGES}
    for prefix in ("", _AGENT):
        paths |= {prefix + route.path: {"get": _read(route, prefix)} for route in READ_ROUTES}
        paths |= {prefix + route.path: {"post": _change(route, prefix)} for route in CHANGE_ROUTES}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hyperhive",
            "version": "1",
            "description": "The agents, each under /agents/NAME. If there is only one, its name can be left out.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": {"type": "string"}, "hint": {"type": ["string", "null"]}},
                    "required": ["error", "hint"],
                    "additionalProperties": False,
                }
            },
        },
    }


def _read(route: ReadRoute, prefix: str = "") -> dict[str, Any]:
    parameters = [*_path_parameters(prefix + route.path)]
    parameters += [_parameter("query", name, field) for name, field in route.query.items()]
    if route.media == MEDIA_TYPE:
        parameters.append(_parameter("header", "Last-Event-ID", route.query["since"]))
    schema = {} if route.media == "application/json" else {"type": "string"}
    return _operation(route.text, parameters, {route.media: {"schema": schema}})


def _change(route: ChangeRoute, prefix: str) -> dict[str, Any]:
    given = {
        "type": "object",
        "properties": {name: _property(field) for name, field in route.fields.items()},
        "required": [name for name, field in route.fields.items() if field.required],
        "additionalProperties": False,
    }
    returned = {
        "type": "object",
        "properties": {name: _REPLY_FIELDS[name] for name in route.returns},
        "required": list(route.returns),
    }
    parameters = [*_path_parameters(prefix + route.path)]
    body = {"required": True, "content": {"application/json": {"schema": given}}}
    return _operation(route.text, parameters, {"application/json": {"schema": returned}}) | {"requestBody": body}


def _property(field: Field) -> dict[str, Any]:
    """Return the schema of a field of a request's JSON, in which null stands for a missing one."""
    return {"type": field.kind if field.required else [field.kind, "null"], "description": field.text}


def _operation(text: str, parameters: list[dict[str, Any]], content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "summary": text,
        "parameters": parameters,
        "responses": {
            "200": {"description": "done", "content": content},
            "default": {"description": "the error", "content": {"application/json": {"schema": _ERROR}}},
        },
    }


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        schema: dict[str, Any] = {"type": "integer", "minimum": 0}
        if name in {"agent", "name"}:
            schema = {"type": "string"}
        elif "/turns/" in path:
            schema = {"type": "string", "pattern": "^(last|[0-9]{1,18})$"}
        yield {"in": "path", "name": name, "required": True, "schema": schema}


def _parameter(location: str, name: str, field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": field.kind}
    if field.kind == "integer":
        schema |= {"minimum": field.minimum} | ({} if field.maximum is None else {"maximum": field.maximum})
    if field.choices:
        schema["enum"] = list(field.choices)
    return {"in": location, "name": name, "required": False, "schema": schema, "description": field.text}
