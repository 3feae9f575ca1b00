"""The OpenAPI 3.1 document of the management API, made from the table of routes."""

from __future__ import annotations

import re
from typing import Any

from appliance import __version__
from appliance.api.routes import REFERENCE, ROUTES, TEXT, Route, Schema
from appliance.security.roles import FOR_PEOPLE, may

_ERROR = {"description": "Refused; `error` says what is wrong, `hint` what to do", "content": {
    "application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}  # fmt: skip
_JSON = {"description": "Done", "content": {"application/json": {"schema": {}}}}
_ENTRY = {"name": TEXT, "password": TEXT}
_OTHERS: list[tuple[str, str, str, dict[str, Schema], int]] = [
    ("post", "/setup", "Make the first user, with the set-up code", {"code": TEXT, **_ENTRY}, 201),
    ("post", "/session", "Sign in; the session is a cookie", _ENTRY, 201),
]


def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    paths["/datasets"]["post"] = _upload()
    for method, path, summary, body, status in _OTHERS:
        operation = {
            "summary": summary,
            "tags": [path[1:]],
            "security": [],
            "requestBody": _body(body, tuple(body)),
        }
        paths.setdefault(path, {})[method] = operation | {
            "responses": {str(status): _JSON, "default": _ERROR}
        }
    for method, summary in (("get", "Who is calling"), ("delete", "Sign out")):
        paths["/session"][method] = {"summary": summary, "tags": ["session"], "responses": _responses(200)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Falaj management API",
            "version": __version__,
            "description": "Everything that the admin page can do. Programs send a token for a role; a "
            "browser sends its session's cookie and, with every change, its token as X-CSRF-Token.",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}, {"key": []}, {"session": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "falaj-7600",
                    "description": "the port's number is in its name; over TLS it begins with __Host-",
                },
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "properties": {"error": TEXT, "hint": TEXT, "column": TEXT},
                    "required": ["error", "hint"],
                }
            },
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    made: dict[str, Any] = {
        "summary": route.summary,
        "operationId": route.verb,
        "tags": [route.tag],
        "description": _who(route.verb),
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": _path_schema(name)}
            for name in re.findall(r"{(\w+)}", route.path)
        ],
        "responses": _responses(route.status),
    }
    if route.method == "GET":
        made["parameters"] += [
            {"name": name, "in": "query", "schema": one} for name, one in route.body.items()
        ]
    elif route.body:
        made["requestBody"] = _body(route.body, route.needed)
    return made


def _who(verb: str) -> str:
    return "For: " + ", ".join(role.value for role in FOR_PEOPLE if may(role, verb))


def _path_schema(name: str) -> Schema:
    return TEXT | ({"description": REFERENCE} if name in ("model", "dataset") else {})


def _body(properties: dict[str, Schema], needed: tuple[str, ...]) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(needed)}
    return {"required": bool(needed), "content": {"application/json": {"schema": schema}}}


def _upload() -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "name": TEXT,
            "options": TEXT | {"description": "the import's options, as JSON"},
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        },
        "required": ["name", "file"],
    }
    return {
        "summary": "Import a table (CSV, XLSX, Parquet, JSON Lines); the job's id",
        "operationId": "dataset.add",
        "tags": ["datasets"],
        "description": _who("dataset.add") + ". The file is the form's last field.",
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}},
        "responses": _responses(202),
    }


def _responses(status: int) -> dict[str, Any]:
    return {str(status): _JSON, "default": _ERROR}
