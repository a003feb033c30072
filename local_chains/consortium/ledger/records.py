"""Records: JSON documents under a name, every version kept; who writes first owns the name and lets others write.

What an owner decides about access is a sequence of its own, so that it is known for ever who could write when.
"""

import hashlib
import json
import re
from typing import Any, Final, NoReturn

from core.model.consortium import (
    MAX_DOCUMENT_BYTES,
    AccessLeaf,
    AccessSet,
    RecordLeaf,
    RecordStored,
    ResultCode,
    SetAccess,
    WriteRecord,
    access_versions,
    encode_leaf,
    record_key,
    record_versions,
    records_in,
    sequence_key,
)
from local_chains.consortium.ledger.admission import require_admitted
from local_chains.consortium.ledger.context import Context, refuse, require_address, require_name
from local_chains.consortium.ledger.leaves import read
from local_chains.consortium.ledger.sequences import append, length
from local_chains.consortium.ledger.view import StateView

MAX_WRITERS: Final = 64
"""Without the owner."""
MAX_DOCUMENT_DEPTH: Final = 32

# Ends at the end of the text too, so that it always matches at a quote and the search stays linear.
_STRING = re.compile(r'"(?:[^"\\]|\\(?:.|\Z))*(?:"|\Z)', re.DOTALL)


def write_record(context: Context, message: WriteRecord) -> None:
    require_name(message.namespace, "namespace")
    require_name(message.key, "key")
    require_admitted(context)
    fault = document_fault(message.document)
    if fault:
        refuse(ResultCode.BAD_DOCUMENT, fault)
    access = access_to(context.state, message.namespace, message.key)
    if access is None:
        append(context.state, records_in(message.namespace), message.key.encode())
    elif context.sender != access.owner and context.sender not in access.writers:
        refuse(ResultCode.NOT_OWNER, f"this record belongs to {access.owner.hex()}")
    versions = record_versions(message.namespace, message.key)
    version = length(context.state, versions) + 1
    leaf = RecordLeaf(message.document, context.sender, version, context.time_ms)
    append(context.state, versions, encode_leaf(leaf))
    digest = hashlib.sha256(message.document).digest()
    context.events.append(RecordStored(message.namespace, message.key, version, context.sender, digest))


def set_access(context: Context, message: SetAccess) -> None:
    require_name(message.namespace, "namespace")
    require_name(message.key, "key")
    require_address(message.owner, "owner")
    require_admitted(context)
    if len(message.writers) > MAX_WRITERS:
        refuse(ResultCode.BAD_ACCESS, f"at most {MAX_WRITERS} may write apart from the owner")
    for writer in message.writers:
        require_address(writer, "writer")
    if tuple(sorted(set(message.writers) - {message.owner})) != message.writers:
        refuse(ResultCode.BAD_ACCESS, "writers are sorted by address, each once, without the owner")
    access = access_to(context.state, message.namespace, message.key)
    if access is None:
        refuse(ResultCode.UNKNOWN_RECORD, "there is no such record")
    if context.sender != access.owner:
        refuse(ResultCode.NOT_OWNER, f"this record belongs to {access.owner.hex()}")
    leaf = AccessLeaf(message.owner, message.writers)
    version = append(context.state, access_versions(message.namespace, message.key), encode_leaf(leaf))
    digest = hashlib.sha256(b"".join(message.writers)).digest()
    context.events.append(AccessSet(message.namespace, message.key, version, message.owner, digest))


def access_to(state: StateView, namespace: str, key: str) -> AccessLeaf | None:
    """Who owns a record and who may write it; None if there is none yet."""
    decisions = access_versions(namespace, key)
    decided = length(state, decisions)
    if decided:
        return read(state, sequence_key(decisions, decided), AccessLeaf)
    first = read(state, record_key(namespace, key, 1), RecordLeaf)
    return None if first is None else AccessLeaf(first.author, ())


def document_fault(raw: bytes) -> str:
    """Return why these bytes are not a document: empty if they are one.

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
    """How deep brackets nest outside strings, at most; found before parsing, since parsers recurse."""
    opened = text.count("[") + text.count("{")
    if opened <= MAX_DOCUMENT_DEPTH:
        return opened  # no deeper than there are brackets, in strings or outside
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
