"""The common part of all reading: who asks, as of when, which filters, and how pages go on."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiohttp import web
from sqlalchemy.engine import Connection

from core.model.errors import NotFoundError, RejectedError
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.types import AccountId, Asset, AssetId, ChainId, Height, chain_of
from core.runtime.database import Database
from core.runtime.web import PageCursors, Problem
from indexer.projections.assets import described
from indexer.projections.locks import Placed
from regulator_api import answers, bodies
from regulator_api.access.scope import SCOPE, Scope, scope_of
from regulator_api.knowledge.store import LabelStore
from regulator_api.knowledge.tags import Labels
from regulator_api.reading.bodies import MomentView
from regulator_api.view import AsOf, View, as_of
from regulator_api.view.moment import MOMENT
from regulator_api.view.whole import names_asset

T = TypeVar("T")
CURSOR_HEAD: Final = 2
"""A cursor begins with the moment of its first page, so that all pages are of one."""

NAMES_FACTS: Final = 16
KEPT_PARTIAL: Final = 16
"""Parts of the labels that are kept for callers with jurisdictions."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The moment of an answer and what is known of assets there, for the documents that leave."""

    moment: AsOf
    assets: Mapping[AssetId, Asset]

    @property
    def final(self) -> dict[ChainId, Height]:
        return {chain: self.moment.final(chain) for chain in self.moment.chains}

    @property
    def as_of(self) -> list[bodies.AsOfView]:
        return [
            bodies.AsOfView(
                chain=chain,
                block=answers.block_view(self.moment.blocks.get(chain)),
                finalized=answers.block_view(row.finalized),
            )
            for chain, row in self.moment.chains.items()
        ]

    @property
    def view(self) -> MomentView:
        return MomentView(
            as_of=self.moment.text or "latest",
            labels=self.moment.label_version,
            finalized=all(block.height <= self.moment.final(chain) for chain, block in self.moment.blocks.items()),
            chains=self.as_of,
        )

    def amount(self, asset: AssetId, amount: int) -> bodies.AmountView:
        return answers.amount_view(asset, amount, self.assets)

    def placed(self, chain: ChainId, placed: Placed) -> bodies.PlacedView:
        return answers.placed_view(chain, placed, {chain: self.moment.final(chain)})


class Reading:
    """Reads in one consistent snapshot, for one caller. `chains` are those that are supervised here, `assets` those
    that the configuration describes."""

    def __init__(
        self,
        database: Database,
        cursors: PageCursors,
        chains: Iterable[ChainId],
        assets: Mapping[AssetId, Asset],
    ) -> None:
        self._database = database
        self.cursors = cursors
        self.chains = frozenset(chains)
        self.assets = assets
        self._labels = LabelStore()
        self._partial: dict[tuple[int, frozenset[str]], Labels] = {}
        self._described: tuple[int, Mapping[AssetId, Asset]] = (-1, assets)

    async def read(
        self,
        request: web.Request,
        moment: tuple[str | None, int | None],
        work: Callable[[View], T],
        default: str = "latest",
    ) -> tuple[T, Frame]:
        """Run `work` over the caller's view as of a moment: (text, label version), each None for the default. If the
        question names a jurisdiction, the view is that one's."""

        def dated(view: View) -> T:
            request[MOMENT] = view.as_of
            return work(view)

        return await self.read_as(scope_of(request), moment, dated, default)

    async def read_as(
        self, scope: Scope, moment: tuple[str | None, int | None], work: Callable[[View], T], default: str = "latest"
    ) -> tuple[T, Frame]:
        """As `read`, for whoever has that scope."""

        def reading_all(connection: Connection) -> tuple[T, Frame]:
            view = View(connection, scope, as_of(connection, *moment, default))
            made = work(view)
            return made, Frame(view.as_of, self._names(view))

        return await self._database.read(reading_all)

    def _names(self, view: View) -> Mapping[AssetId, Asset]:
        """Return what assets are called, looked up again every `NAMES_FACTS` facts."""
        now = view.as_of.facts // NAMES_FACTS
        if self._described[0] != now:
            self._described = (now, described(view.connection, self.assets))
        return self._described[1]

    def labels(self, view: View) -> Labels:
        """Return what was known of accounts at the view's moment, of those that the caller may see."""
        known = self._labels.at(view.connection, view.as_of.label_version or None)
        if view.jurisdictions is None:
            return known
        key = (known.version, view.jurisdictions)
        if key not in self._partial:
            if len(self._partial) >= KEPT_PARTIAL:
                self._partial.clear()
            self._partial[key] = known.only(view.jurisdictions)
        return self._partial[key]

    # --- filters -------------------------------------------------------------------------------------------------

    def chain(self, text: str) -> ChainId:
        """Raise `MalformedIdentifierError`, and `NotFoundError` for a chain that is not supervised here."""
        chain = parse_chain(text)
        if chain not in self.chains:
            raise NotFoundError(f"{chain} is not supervised here: /v1/chains lists the chains that are", chain=chain)
        return chain

    def account(self, text: str) -> AccountId:
        """Raise `MalformedIdentifierError`, and `NotFoundError` for a chain that is not supervised here."""
        account = parse_account(text)
        self.chain(chain_of(account))
        return account

    async def asset(self, scope: Scope, text: str) -> AssetId:
        """Raise `NotFoundError` for an asset that nobody configured and no row of the caller names, as a mistyped
        one."""
        asset = parse_asset(text)
        self.chain(chain_of(asset))
        if asset in self.assets:
            return asset

        def check(view: View) -> None:
            if not names_asset(view, asset):
                reason = f"unknown asset {asset}: neither configured nor named by a block"
                raise NotFoundError(reason, asset=asset, **view.as_of.members)

        await self.read_as(scope, (None, None), check)
        return asset

    async def filters(
        self, scope: Scope, chain: str | None, asset: str | None, *accounts: str | None
    ) -> tuple[ChainId | None, AssetId | None, list[AccountId | None]]:
        """The filters of a list. An empty list means that there is nothing, never that a filter names nothing.

        Raise `MalformedIdentifierError`, `NotFoundError` for what is not supervised, `RejectedError` for filters that
        exclude each other.
        """
        on = None if chain is None else self.chain(chain)
        which = None if asset is None else await self.asset(scope, asset)
        whose = [None if account is None else self.account(account) for account in accounts]
        chains = {on, *(chain_of(one) for one in (which, *whose) if one is not None)} - {None}
        if len(chains) > 1:
            raise RejectedError(f"the filters are of different chains: {', '.join(sorted(map(str, chains)))}")
        return on, which, whose

    # --- pages ---------------------------------------------------------------------------------------------------

    def opened(self, listing: str, query: Any) -> tuple[tuple[str | None, int | None], list[Any] | None]:
        """Return the moment of a page and the key that it begins behind: a cursor keeps to the moment of its first
        page, unless the query names the same one. Raise `RejectedError` for a cursor of another list or moment."""
        sealed = self.cursors.open(listing, query.cursor)
        if sealed is None:
            return (query.as_of, query.labels), None
        if len(sealed) <= CURSOR_HEAD:
            raise RejectedError("this cursor is of an older form of the list: begin again without one")
        moment, labels = sealed[:CURSOR_HEAD]
        return (moment or None, labels), sealed[CURSOR_HEAD:]

    def next(self, listing: str, frame: Frame, key: Sequence[str | int | bytes] | None) -> str | None:
        """The cursor of the next page, None on the last one."""
        if key is None:
            return None
        return self.cursors.seal(listing, [frame.moment.text, frame.moment.label_version, *key])


def unrestricted(request: web.Request) -> None:
    """Raise a `Problem` (403) if the caller sees some jurisdictions only: the figure adds up the rows of all."""
    if not request[SCOPE].unrestricted:
        raise Problem(
            403,
            "all-jurisdictions",
            "Figures over all jurisdictions",
            "This figure adds up rows of all jurisdictions: ask with credentials that are not limited to some.",
        )


def listing_of(name: str, query: Any, wanted: Any) -> str:
    """The name under which a list's cursors are sealed: what it filters, and the moment that was asked for."""
    return f"{name} {wanted} {query.as_of} {query.labels} {getattr(query, 'jurisdiction', None)}"
