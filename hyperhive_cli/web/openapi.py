"""The OpenAPI document, made of the tables in `web.api`. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hyperhive_cli.web.api import CHANGES, GLOBAL, READINGS, Change, Field, Reading

_AGENT = "/agents/{agent}"
_ERROR = {"$ref": "#/components/schemas/Error"}
# What a reply's fields are, by name.
_GIVEN: Mapping[str, Mapping[str, Any]] = {
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
    "login": {"type": ["object", "null"]},
}


def document() -> dict[str, Any]:
    """Describe the gateway's interface; every path of one agent stands in it twice, with its name and without."""
    paths: dict[str, dict[str, Any]] = {reading.path: {"get": _reading(reading)} for reading in GLOBAL}
    for prefix in ("", _AGENT):
        paths |= {prefix + reading.path: {"get": _reading(reading, prefix)} for reading in READINGS}
        paths |= {prefix + change.path: {"post": _change(change, prefix)} for change in CHANGES}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hyperhive",
            "version": "1",
            "description": "One agent, or several under /agents/NAME. Without that name: the only agent.",
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


def _reading(reading: Reading, prefix: str = "") -> dict[str, Any]:
    parameters = [*_path_parameters(prefix + reading.path)]
    parameters += [_parameter("query", name, field) for name, field in reading.query.items()]
    if reading.media != "application/json":
        parameters.append(_parameter("header", "Last-Event-ID", reading.query["since"]))
    schema = {"type": "string"} if reading.media != "application/json" else {}
    return _operation(reading.text, parameters, {reading.media: {"schema": schema}})


def _change(change: Change, prefix: str) -> dict[str, Any]:
    given = {
        "type": "object",
        "properties": {name: {"type": "string", "description": field.text} for name, field in change.fields.items()},
        "required": [name for name, field in change.fields.items() if field.required],
        "additionalProperties": False,
    }
    gives = {
        "type": "object",
        "properties": {name: _GIVEN[name] for name in change.gives},
        "required": list(change.gives),
    }
    parameters = [*_path_parameters(prefix + change.path)]
    body = {"required": True, "content": {"application/json": {"schema": given}}}
    return _operation(change.text, parameters, {"application/json": {"schema": gives}}) | {"requestBody": body}


def _operation(text: str, parameters: list[dict[str, Any]], content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "summary": text,
        "parameters": parameters,
        "responses": {
            "200": {"description": "done", "content": content},
            "default": {"description": "why not", "content": {"application/json": {"schema": _ERROR}}},
        },
    }


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        schema: dict[str, Any] = {"type": "integer", "minimum": 0}
        if name == "agent":
            schema = {"type": "string"}
        elif "/turns/" in path:
            schema = {"type": "string", "pattern": "^(last|[0-9]{1,18})$"}
        yield {"in": "path", "name": name, "required": True, "schema": schema}


def _parameter(place: str, name: str, field: Field) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": field.kind}
    if field.kind == "integer":
        schema |= {"minimum": field.least or 0} | ({} if field.most is None else {"maximum": field.most})
    if field.choice:
        schema["enum"] = list(field.choice)
    return {"in": place, "name": name, "required": False, "schema": schema, "description": field.text}
