"""Records: JSON documents under a name, every version kept; who writes first owns the name."""

import hashlib
import json
import re
from typing import Any, Final, NoReturn

from core.model.consortium import (
    MAX_DOCUMENT_BYTES,
    RecordLeaf,
    RecordStored,
    ResultCode,
    WriteRecord,
    record_count_key,
    record_key,
)
from local_chains.consortium.ledger.context import Context, refuse, require_name
from local_chains.consortium.ledger.leaves import read, read_count, write, write_count

MAX_DOCUMENT_DEPTH: Final = 32

# Ends at the end of the text too, so that it always matches at a quote and the search stays linear.
_STRING = re.compile(r'"(?:[^"\\]|\\(?:.|\Z))*(?:"|\Z)', re.DOTALL)


def write_record(context: Context, message: WriteRecord) -> None:
    require_name(message.namespace, "namespace")
    require_name(message.key, "key")
    fault = document_fault(message.document)
    if fault:
        refuse(ResultCode.BAD_DOCUMENT, fault)
    count_key = record_count_key(message.namespace, message.key)
    version = read_count(context.state, count_key) + 1
    first = read(context.state, record_key(message.namespace, message.key, 1), RecordLeaf)
    if first is not None and first.author != context.sender:
        refuse(ResultCode.NOT_OWNER, f"this record belongs to {first.author.hex()}")
    leaf = RecordLeaf(message.document, context.sender, version, context.time_ms)
    write(context.state, record_key(message.namespace, message.key, version), leaf)
    write_count(context.state, count_key, version)
    digest = hashlib.sha256(message.document).digest()
    context.events.append(RecordStored(message.namespace, message.key, version, context.sender, digest))


def document_fault(raw: bytes) -> str:
    """Why these bytes are no document: empty if they are one.

    A document is JSON (RFC 8259) in UTF-8 with unique names, bounded in size and depth. Numbers are not converted, so
    the verdict does not depend on what a machine's numbers can hold.
    """
    if not 0 < len(raw) <= MAX_DOCUMENT_BYTES:
        return f"a document has 1 to {MAX_DOCUMENT_BYTES} bytes, this one has {len(raw)}"
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "a document is UTF-8"
    if _depth(text) > MAX_DOCUMENT_DEPTH:
        return f"a document nests at most {MAX_DOCUMENT_DEPTH} deep"
    try:
        json.loads(
            text,
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_refuse_doubles,
        )
    except ValueError:
        return "a document is JSON with unique names"
    return ""


def _depth(text: str) -> int:
    """How deep brackets nest outside strings; found before parsing, since parsers recurse."""
    depth = deepest = 0
    for character in _STRING.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return members
