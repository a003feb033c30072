"""A caller's scope in the supervision API: it hangs on the request, and views of the data are made with it."""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from core.model.errors import RejectedError
from regulator_api.access.roles import ROLES


@dataclass(frozen=True, slots=True)
class Scope:
    """`jurisdictions` are ISO 3166 codes; None is all of them, and accounts that belong to none. `roles` are the
    members of `ROLES` that the caller has."""

    jurisdictions: frozenset[str] | None
    roles: frozenset[str]

    @property
    def unrestricted(self) -> bool:
        return self.jurisdictions is None

    @property
    def shown(self) -> str:
        """For the names of lists, so that a cursor of one scope does not fit another."""
        return "all" if self.jurisdictions is None else ",".join(sorted(self.jurisdictions))


def scope_of(request: web.Request) -> Scope:
    """Return the caller's scope, or one jurisdiction of it that the question names (`jurisdiction`).

    Raise `RejectedError` for a jurisdiction that the caller does not see.
    """
    scope, wanted = request[SCOPE], request.query.get("jurisdiction")
    if wanted is None:
        return scope
    if scope.jurisdictions is not None and wanted not in scope.jurisdictions:
        raise RejectedError(f"name one of your jurisdictions: {', '.join(sorted(scope.jurisdictions))}")
    return Scope(frozenset({wanted}), scope.roles)


EVERYTHING: Final = Scope(None, frozenset(ROLES))
"""For the process itself: rules run over all that is there."""
SCOPE: Final = web.RequestKey("scope", Scope)
"""The scope of the caller, for every handler of a scoped route: `request[SCOPE]`."""
UNTIL: Final = web.RequestKey("credentials_until_s", float)
"""The Unix time from which the caller's token is not good any more; not there for other credentials."""
