"""A caller's scope in the supervision API: it hangs on the request, and views of the data are made with it."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

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


@dataclass(frozen=True, slots=True)
class Scope:
    """`jurisdictions` are ISO 3166 codes; None is all of them, and accounts that belong to none. `roles` are the
    members of `ROLES` that the caller has."""

    jurisdictions: frozenset[str] | None
    roles: frozenset[str]

    @property
    def unrestricted(self) -> bool:
        return self.jurisdictions is None


EVERYTHING: Final = Scope(None, frozenset(ROLES))
"""For the process itself: rules run over all that is there."""
SCOPE: Final = web.RequestKey("scope", Scope)
"""The scope of the caller, for every handler of a scoped route: `request[SCOPE]`."""
