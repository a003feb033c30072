"""`/docs`: the OpenAPI document as one page of HTML, for people. No script, nothing fetched from anywhere."""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

STYLE: Final = """\
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:70rem;padding:1rem;color:#1b1f24;background:#fff}
h2{border-bottom:1px solid #d0d7de;margin-top:2.5rem}h3{margin:2rem 0 .3rem;font-size:1.05rem}
code,.path{font-family:ui-monospace,monospace;font-size:.92em}.verb{display:inline-block;min-width:4.2rem;font-weight:700}
table{border-collapse:collapse;margin:.4rem 0;width:100%}td,th{border:1px solid #d0d7de;padding:.25rem .5rem;
text-align:left;vertical-align:top}th{background:#f6f8fa}nav a{display:block}.need{color:#8a2c0d}p{max-width:60rem}
@media(prefers-color-scheme:dark){body{color:#d6dbe0;background:#14171a}th{background:#20252a}a{color:#7db7ff}
td,th,h2{border-color:#3a4149}.need{color:#ff9d76}}
"""
_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page(document: Mapping[str, Any]) -> str:
    """The whole page. Every text of the document is escaped."""
    info = document["info"]
    operations = [
        (method.upper(), path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    schemas = document["components"]["schemas"]
    parts = [
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>.</p><nav>',
        *(
            f'<a href="#{escape(one["operationId"])}"><span class="verb">{method}</span>'
            f'<span class="path">{escape(path)}</span> — {escape(one["summary"])}</a>'
            for method, path, one in operations
        ),
        "</nav><h2>Calls</h2>",
        *(_operation(method, path, one) for method, path, one in operations),
        "<h2>Types</h2>",
        *(_schema(name, schema) for name, schema in schemas.items()),
    ]
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    found = [
        f'<h3 id="{escape(operation["operationId"])}"><span class="verb">{method}</span>'
        f'<span class="path">{escape(path)}</span></h3>',
        f"<p>{escape(operation['summary'])}. {escape(operation.get('description', ''))}</p>",
    ]
    if "x-scope" in operation:
        found.append(f"<p>Needs an API key with the scope <code>{escape(operation['x-scope'])}</code>.</p>")
    if parameters := operation.get("parameters"):
        rows = (
            (_member(one["name"], one["required"]), escape(one["in"]), _type(one["schema"]), _says(one))
            for one in parameters
        )
        found.append(_table(("parameter", "in", "type", ""), rows))
    if body := operation.get("requestBody"):
        [(kind, content)] = body["content"].items()
        found.append(f"<p>Body: <code>{escape(kind)}</code>, {_type(content['schema'])}</p>")
    answers = (
        (
            escape(status),
            ", ".join(_type(content["schema"]) for content in answer.get("content", {}).values()),
            escape(answer["description"]),
        )
        for status, answer in operation["responses"].items()
    )
    found.append(_table(("status", "answer", ""), answers))
    return "".join(found)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", ())
    rows = (
        (_member(member, member in needed), _type(kind), _says(kind))
        for member, kind in schema.get("properties", {}).items()
    )
    table = _table(("member", "type", ""), rows) if schema.get("properties") else f"<p>{_type(schema)}</p>"
    return f'<h3 id="type-{escape(name)}">{escape(name)}</h3><p>{escape(schema.get("description", ""))}</p>{table}'


def _type(schema: Mapping[str, Any]) -> str:
    """The type in words and links."""
    match schema:
        case {"$ref": str(reference)}:
            name = escape(reference.rsplit("/", 1)[1])
            return f'<a href="#type-{name}">{name}</a>'
        case {"anyOf": list(kinds)}:
            return " or ".join(_type(kind) for kind in kinds)
        case {"enum": list(values)}:
            return ", ".join(f"<code>{escape(str(value))}</code>" for value in values)
        case {"type": "array", **rest}:
            return f"list of {_type(rest.get('items') or {})}"
        case _:
            bounds = [
                f"{escape(word)} <code>{escape(str(schema[name]))}</code>"
                for name, word in (("pattern", ""), ("minimum", "from"), ("maximum", "to"), ("maxLength", "at most"))
                if name in schema
            ]
            return " ".join([escape(str(schema.get("type", "anything"))), *bounds])


def _says(schema: Mapping[str, Any]) -> str:
    return escape(str(schema.get("description", "")))


def _member(name: str, needed: bool) -> str:
    return f"<code>{escape(name)}</code>" + ('<span class="need"> *</span>' if needed else "")


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
