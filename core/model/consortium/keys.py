"""Keys of the ledger's state, as proofs name them."""

import re
from typing import Final

from core.model.consortium.names import ADDRESS_BYTES, NAME_PATTERN
from core.model.consortium_members import MISBEHAVIOUR, ORGANISATIONS, PROPOSALS
from core.model.consortium_orders import ORDERS
from core.model.errors import RejectedError
from core.model.identifiers import parse_chain

# An account is one leaf. Hashed keys have no order, so a list is a sequence `…/n` with its length at `…/count`.

PROOF_OP: Final = "causeway:smt"
"""The type of `abci_query`'s one proof op; its data is `core.proofs.smt.encode_proof`, for presence and absence alike.
The state after block h is proven against the app hash in header h + 1."""
CLOCK_KEY: Final = b"clock"
"""Ledger time of the block, milliseconds since the epoch, as an 8-byte big-endian integer."""


def sequence_count_key(sequence: bytes) -> bytes:
    """Return the key of an append-only sequence's length, an 8-byte big-endian integer."""
    return sequence + b"/count"


def sequence_key(sequence: bytes, place: int) -> bytes:
    """Return the key of entry `place` of an append-only sequence, from 1."""
    return b"%s/%d" % (sequence, place)


def account_key(raw: bytes) -> bytes:
    return b"bank/account/" + raw


ASSETS: Final = b"bank/assets"
"""The sequence of all assets; an entry is the symbol."""


def asset_key(symbol: str) -> bytes:
    return b"bank/asset/" + symbol.encode()


def lock_key(sender: bytes, hashlock: bytes) -> bytes:
    return b"htlc/lock/" + sender + hashlock


def locks_of(sender: bytes) -> bytes:
    """The sequence of all locks an account ever made; an entry is the hashlock."""
    return b"htlc/locks/" + sender


def open_locks_key(sender: bytes) -> bytes:
    """How many of them are open, an 8-byte big-endian integer."""
    return b"htlc/open/" + sender


def records_in(namespace: str) -> bytes:
    """The sequence of a namespace's records; an entry is the record's key."""
    return f"records/{namespace}".encode()


def record_versions(namespace: str, key: str) -> bytes:
    """The sequence of a record's versions; an entry is a `RecordLeaf`."""
    return f"records/{namespace}/{key}".encode()


def access_versions(namespace: str, key: str) -> bytes:
    """The sequence of what its owner decided about a record; the last entry, an `AccessLeaf`, holds."""
    return f"records/{namespace}/{key}/access".encode()


def record_count_key(namespace: str, key: str) -> bytes:
    return sequence_count_key(record_versions(namespace, key))


def record_key(namespace: str, key: str, version: int) -> bytes:
    return sequence_key(record_versions(namespace, key), version)


def attested_headers(chain: str) -> bytes:
    """The sequence of a foreign chain's attested heights in order of arrival; an entry is 8 bytes big-endian."""
    return f"bridge/headers/{chain}".encode()


def attested_header_key(chain: str, height: int) -> bytes:
    return f"bridge/header/{chain}/{height}".encode()


def attestor_key(operator: bytes) -> bytes:
    """The 20-byte address of the account that attests for an operator."""
    return b"bridge/attestor/" + operator


def attests_for_key(attestor: bytes) -> bytes:
    """The 20-byte address of the operator that an account attests for."""
    return b"bridge/attests-for/" + attestor


def attested_for_key(attestor: bytes) -> bytes:
    """The 20-byte address of the operator that appointed an account last; it stays after the account is dismissed."""
    return b"bridge/once-attested-for/" + attestor


def equivocation_key(operator: bytes, chain: str, height: int) -> bytes:
    """The proven double attestation of an operator, an `EquivocationLeaf`."""
    return b"bridge/equivocation/" + operator + f"/{chain}/{height}".encode()


def equivocations_key(operator: bytes) -> bytes:
    """How many double attestations of an operator are recorded, an 8-byte big-endian integer."""
    return b"bridge/equivocations/" + operator


QUERIES: Final = b"bridge/queries"
"""The sequence of all questions to foreign chains; an entry is a `QueryLeaf`, by the query's number."""


def query_key(number: int) -> bytes:
    return sequence_key(QUERIES, number)


def open_queries_key(asker: bytes) -> bytes:
    """How many questions of an account are open, an 8-byte big-endian integer."""
    return b"bridge/asking/" + asker


def attested_latest_key(chain: str) -> bytes:
    """The newest attested height of a foreign chain, an 8-byte big-endian integer."""
    return f"bridge/latest/{chain}".encode()


# --- lists -------------------------------------------------------------------------------------------------------

_FIXED: Final = {
    "assets": ASSETS,
    "organisations": ORGANISATIONS,
    "proposals": PROPOSALS,
    "misbehaviour": MISBEHAVIOUR,
    "queries": QUERIES,
    "orders": ORDERS,
}
LISTS: Final = (
    *_FIXED,
    "records/{namespace}",
    "records/{namespace}/{key}",
    "records/{namespace}/{key}/access",
    "locks/{sender}",
    "headers/{chain}",
)
"""Names of the ledger's sequences, as a question writes them."""


def sequence_of(name: str) -> bytes:
    """Return the sequence that a list's name stands for, one of `LISTS`. Raise `RejectedError` for any other name."""
    match name.split("/"):
        case [fixed] if fixed in _FIXED:
            return _FIXED[fixed]
        case ["records", namespace] if _is_name(namespace):
            return records_in(namespace)
        case ["records", namespace, key] if _is_name(namespace) and _is_name(key):
            return record_versions(namespace, key)
        case ["records", namespace, key, "access"] if _is_name(namespace) and _is_name(key):
            return access_versions(namespace, key)
        case ["locks", sender] if re.fullmatch(rf"[0-9a-f]{{{2 * ADDRESS_BYTES}}}", sender):
            return locks_of(bytes.fromhex(sender))
        case ["headers", chain]:
            return attested_headers(parse_chain(chain))
    raise RejectedError(f"{name[:128]!r} is not a list of a consortium ledger: use one of {', '.join(LISTS)}")


def _is_name(text: str) -> bool:
    return re.fullmatch(NAME_PATTERN, text) is not None
