"""The OpenAPI page (3.1), made from the table of routes and the types of its messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from .problems import PROBLEM_TYPE, Problem
from .routes import ANYBODY, PAGES, ROUTES, Lane, Route

_TEXT = {"schema": {"type": "string"}}
REFUSALS = {
    "400": "The request cannot be read",
    "401": "A token is needed",
    "403": "The role may not do that, or the request comes from another site",
    "404": "There is no such thing",
    "409": "The state does not allow it",
    "413": "The request is too large",
    "415": "The body is no JSON",
    "421": "This server does not answer under that name",
    "422": "A field is missing, unknown or beyond a limit, or the command does not fit the state",
    "429": "Too many requests; Retry-After says when to come again",
    "503": "Not now; Retry-After says when to come again",
    "507": "The store has no room",
}


def openapi(version: str) -> bytes:
    """The page as JSON."""
    return msgspec.json.format(msgspec.json.encode(description(version)), indent=1)


def description(version: str) -> dict[str, Any]:
    """The page as plain data. version: of the server."""
    types = [kind for route in ROUTES for kind in (route.request, route.answer)] + [Problem]
    _, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, components)
    for path, roles in PAGES.items():
        paths[path] = {"get": _page(path, roles)}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Levada", "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {status: _refusal(text) for status, text in REFUSALS.items()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "a token that begins with lvd_"}},
        },
    }


def _operation(route: Route, components: Mapping[str, Any]) -> dict[str, Any]:
    schema = components[route.request.__name__]
    doc = " ".join((route.request.__doc__ or "").split())
    kind = "text/event-stream" if route.name == "events" else "application/json"
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": doc,
        "description": "Roles: " + (", ".join(sorted(route.roles)) or "anybody") + ".",
        "tags": [_tag(route)],
        "responses": {
            "200": {"description": "Done", "content": {kind: {"schema": {"$ref": f"#/components/schemas/{route.answer.__name__}"}}}},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in REFUSALS},
        },
        "security": [] if route.roles is ANYBODY else [{"token": []}],
    }
    parameters = [_parameter(name, schema, "path") for name in route.fields]
    if route.method == "GET":
        parameters += [_parameter(name, schema, "query") for name in schema["properties"] if name not in route.fields]
    else:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _body(route, schema)}}}
    if route.repeatable:
        parameters.append(_repeat_header())
    if parameters:
        operation["parameters"] = parameters
    return operation


def _parameter(name: str, schema: Mapping[str, Any], where: str) -> dict[str, Any]:
    of_value: dict[str, Any] = dict(schema["properties"][name])
    if "anyOf" in of_value:  # a query cannot say null: it leaves the field out
        kinds = [kind for kind in of_value.pop("anyOf") if kind != {"type": "null"}]
        of_value = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    if isinstance(of_value.get("enum"), list):
        of_value["enum"] = [each for each in of_value["enum"] if each is not None]
    of_value.pop("default", None)
    if where == "path" and of_value.get("type") == "string":
        of_value = {"minLength": 1, **of_value}
    return {"name": name, "in": where, "required": where == "path" or name in schema.get("required", ()), "schema": of_value}


def _body(route: Route, schema: Mapping[str, Any]) -> dict[str, Any]:
    if not route.fields:
        return {"$ref": f"#/components/schemas/{route.request.__name__}"}
    properties = {name: value for name, value in schema["properties"].items() if name not in route.fields}
    required = [name for name in schema.get("required", ()) if name not in route.fields]
    body: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**body, "required": required} if required else body


def _repeat_header() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key with the same command gets the first answer again, for 24 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }


def _page(path: str, roles: frozenset[str]) -> dict[str, Any]:
    refusals = ("401", "403", "421", "429", "503")
    operation: dict[str, Any] = {
        "operationId": path[1:].partition(".")[0] or "front",
        "description": "Roles: " + (", ".join(sorted(roles)) or "anybody") + ".",
        "tags": ["pages"],
        "responses": {
            "200": {"description": "The page", "content": {"*/*": _TEXT}},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in refusals},
        },
        "security": [{"token": []}] if roles else [],
    }
    if path == "/login":
        operation["responses"]["303"] = {"description": "Let in; a cookie is set"}
        operation["parameters"] = [{"name": "once", "in": "query", "required": False, **_TEXT}]
    if path in ("/livez", "/readyz"):
        operation["responses"]["503"] = {"description": "Not now", "content": {"text/plain": _TEXT}}
    return operation


def _refusal(text: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": text, "content": {PROBLEM_TYPE: {"schema": schema}}}


def _tag(route: Route) -> str:
    if route.lane is Lane.WEB:
        return "browsers"
    return "operators" if route.audited and "operator" in route.roles else "workers" if route.method == "POST" else "pages"
