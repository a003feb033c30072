"""Names that configurations and tokens use: scopes, algorithms, and the word for all jurisdictions."""

from collections.abc import Mapping
from typing import Final

ROLES: Final = {
    "read": "look at chains, assets, accounts, transfers, swaps and figures",
    "trace": "follow value over hops and chains",
    "personal": "see personal data, with a stated purpose and case",
    "evidence": "take answers with their proofs",
    "rules": "write, try and activate rules",
    "cases": "work on alerts and cases",
    "lists": "import lists, and write tags and entities",
    "orders": "prepare holds",
    "report": "report agreed terms, as relayers do",
    "audit": "read the log of who looked at what",
    "admin": "see and change who may call",
}
"""The scopes that a token or a key can carry, and what each allows."""
EVERYWHERE: Final = "*"
"""All jurisdictions, and accounts that belong to none."""
ALGORITHMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("RSA", ""): ("RS256", "PS256"),
}
"""By kind and curve: the signature algorithms that a key of it may be used with (RFC 7518, RFC 8037)."""
ALL_ALGORITHMS: Final = tuple(name for names in ALGORITHMS.values() for name in names)
