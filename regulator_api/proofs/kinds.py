"""The claims of each route's answer, the rows that its figures follow from, and what of it no chain can prove.

This table is the one place that says so: the server offers `?evidence=true` for the routes in it, and a verifier reads
answers of these routes alone. A test holds it against every route that answers with data.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import msgspec

from core.model.consortium import raw_address
from core.model.consortium_orders import OrderLeaf, OrderView
from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset, parse_chain
from core.model.questions import MAX_LIST_ENTRIES, AsOf, ListQuestion
from core.model.types import Height, chain_of
from regulator_api import bodies, orders
from regulator_api.knowledge import bodies as knowledge
from regulator_api.proofs import nested, sums
from regulator_api.proofs.claims import (
    LEDGER,
    OF_THE_LOCK,
    Claim,
    Where,
    amount_of,
    balance_claim,
    block_claim,
    code_claim,
    count_claim,
    defined_claim,
    differs,
    hold_claim,
    lock_claim,
    names_claim,
    newest_claim,
    order_claim,
    place_of,
    raw_hash,
    signed_claim,
    supply_claim,
    transfer_claim,
    unproven,
    version_claim,
    written_claim,
)
from regulator_api.proofs.sums import Rows
from regulator_api.reading import bodies as reading
from regulator_api.rules import bodies as rules
from regulator_api.tracing import bodies as tracing
from regulator_api.travel import routes as travel

STATEMENT: Final = "this is a statement of the supervision, which no chain has: the answer says who made it"
REPORTED: Final = "agreed terms are what a relayer reported; the answer says which"
LABELS: Final = "entities, tags and alerts are statements of this supervision, of the label version in the answer"
COUNTED: Final = "these count what is indexed; the lists of the events can be asked for one by one"
STANDING: Final = "alerts and cases are counted as they stand now: ask for their lists"
NAMES: Final = "a hit is a name: ask its path with evidence"
WITHIN: Final = "the rows are what the index has: that none is missing follows from an index of one's own"


@dataclass(frozen=True, slots=True)
class Asked:
    """A path that was asked: the parameters in it, and those of its query."""

    parameters: Mapping[str, str]
    query: Mapping[str, str]

    @property
    def first_page(self) -> bool:
        return "cursor" not in self.query

    def filtered(self, *names: str) -> bool:
        """Return true if the query has one of these."""
        return any(name in self.query for name in names)


Claims = Callable[[Asked, Any, Rows], Iterator[Claim]]


def _none(*_: Any) -> Iterator[Claim]:
    return iter(())


@dataclass(frozen=True, slots=True)
class Kind:
    """The proof of one route's answers. `claims` are what chains prove; `fault` computes the figures again from `rows`
    and says what differs; `rests_on` finds the bundles that the answer rests on. `reasons`: what else is not proven."""

    answer: Any
    claims: Claims = _none
    fault: Callable[[Any, Rows], str] | None = None
    rests_on: Callable[[Any], list[nested.Nested]] = field(default=lambda _: [])
    reasons: tuple[str, ...] = ()


# --- moments -----------------------------------------------------------------------------------------------------


def heights_of(answer: Any) -> dict[str, Height]:
    """Return the block of each chain that an answer is as of, by its `moment` or its `as_of`."""
    views: Any = getattr(answer, "as_of", None)
    if (moment := getattr(answer, "moment", None)) is not None:
        views = moment.chains
    if not isinstance(views, list):
        return {}
    return {one.chain: Height(one.block.height) for one in views if one.block is not None}


def blocks_of(answer: Any) -> dict[tuple[str, int], bytes]:
    """Return the hashes of the blocks that an answer is as of, and of the final ones that it names."""
    views: Any = getattr(answer, "as_of", None)
    if (moment := getattr(answer, "moment", None)) is not None:
        views = moment.chains
    if not isinstance(views, list):
        return {}
    found = ((one.chain, block) for one in views for block in (one.block, one.finalized) if block is not None)
    return {(chain, block.height): raw_hash(block.hash) for chain, block in found}


# --- claims of routes --------------------------------------------------------------------------------------------


def _chains(_: Asked, answer: bodies.ChainsAnswer, __: Rows) -> Iterator[Claim]:
    for place, one in enumerate(answer.items):
        if one.finalized is not None:
            yield block_claim(f"/items/{place}/finalized", one.chain, one.finalized)


def _transfers(_: Asked, answer: bodies.TransfersPage, __: Rows) -> Iterator[Claim]:
    for place, one in enumerate(answer.items):
        yield transfer_claim(f"/items/{place}", one.chain, one.amount, one.sender, one.receiver, place_of(one.placed))


def _moves(asked: Asked, answer: reading.MovesPage, _: Rows) -> Iterator[Claim]:
    chain = chain_of(parse_account(answer.account))
    for place, one in enumerate(answer.items):
        at = f"/items/{place}"
        if one.kind not in ("transfer", "covered"):
            yield unproven(at, chain, OF_THE_LOCK)
            continue
        out = one.direction == "out"
        sender, receiver = (answer.account, one.other) if out else (one.other, answer.account)
        yield transfer_claim(at, chain, one.amount, sender, receiver, place_of(one.placed))


def _swap(at: str, swap: bodies.SwapAnswer, heights: Mapping[str, Height]) -> Iterator[Claim]:
    found = [(f"{at}/{role}/lock", leg.lock) for role, leg in _legs(swap) if leg.lock is not None]
    found += [(f"{at}/others/{place}", lock) for place, lock in enumerate(swap.others)]
    for place, lock in found:
        if lock.preimage is not None and _digest(lock.preimage) != swap.hashlock:
            raise RejectedError(f"the preimage at {place} is not that of the hashlock")
        yield lock_claim(place, lock, swap.hashlock, heights.get(lock.terms.chain))


def _legs(swap: bodies.SwapAnswer) -> list[tuple[str, bodies.LegAnswer]]:
    legs = (("initiator", swap.initiator), ("participant", swap.participant))
    return [(role, leg) for role, leg in legs if leg is not None]


def _digest(preimage: str) -> str:
    return sums.sha256_hex(raw_hash(preimage))


def _one_swap(_: Asked, answer: reading.SwapDocument, __: Rows) -> Iterator[Claim]:
    yield from _swap("/swap", answer.swap, heights_of(answer))


def _swaps(asked: Asked, answer: bodies.SwapsPage, _: Rows) -> Iterator[Claim]:
    heights = heights_of(answer)
    for place, one in enumerate(answer.items):
        yield from _swap(f"/items/{place}", one, heights)
    account, others = asked.query.get("account"), ("chain", "asset", "status", "hashlock", "since_s", "until_s")
    if account is None or not account.startswith(LEDGER) or asked.filtered(*others):
        return
    if asked.first_page and answer.next is None:
        # Every lock that the account made on its ledger is under one of these hashlocks.
        whose = parse_account(account)
        question = ListQuestion(chain_of(whose), f"locks/{raw_address(whose).hex()}", 1, MAX_LIST_ENTRIES)
        among = frozenset(one.hashlock for one in answer.items)
        yield names_claim("/items", question, among, False, heights.get(chain_of(whose)))


def _profile(_: Asked, answer: reading.ProfileAnswer, __: Rows) -> Iterator[Claim]:
    height = heights_of(answer).get(answer.chain)
    for place, one in enumerate(answer.balances):
        amount = amount_of(one.amount.base_units)
        yield balance_claim(f"/balances/{place}", answer.account, one.amount.asset, amount, height)


def _holdings(_: Asked, answer: reading.HoldingsAnswer, rows: Rows) -> Iterator[Claim]:
    heights = heights_of(answer)
    for place, (account, asset, amount) in enumerate(rows):
        chain = chain_of(parse_account(str(account)))
        yield balance_claim(
            f"/proof/rows/{place}", str(account), str(asset), amount_of(str(amount)), heights.get(chain)
        )


def _records(asked: Asked, answer: reading.RecordsPage, _: Rows) -> Iterator[Claim]:
    heights = heights_of(answer)
    for place, one in enumerate(answer.items):
        said = one.version, one.author, one.digest
        height = heights.get(one.chain, Height(0))
        yield newest_claim(f"/items/{place}", one.chain, one.namespace, one.key, said, height)
    chain, namespace = asked.query.get("chain"), asked.query.get("namespace")
    if chain is not None and chain.startswith(LEDGER) and namespace and asked.first_page and answer.next is None:
        question = ListQuestion(parse_chain(chain), f"records/{namespace}", 1, MAX_LIST_ENTRIES)
        among = frozenset(one.key for one in answer.items)
        yield names_claim("/items", question, among, True, heights.get(chain))


def _versions(asked: Asked, answer: reading.RecordsPage, _: Rows) -> Iterator[Claim]:
    if not answer.items:
        return
    chain, namespace, key = (asked.parameters[name] for name in ("chain", "namespace", "key"))
    height = heights_of(answer).get(chain)
    newest, oldest = answer.items[0].version, answer.items[-1].version
    if [one.version for one in answer.items] != list(range(newest, oldest - 1, -1)):
        yield unproven("/items", chain, "versions of authors out of the caller's jurisdictions are not shown")
    pieces: list[ListQuestion] = []
    if chain.startswith(LEDGER):
        name, step = f"records/{namespace}/{key}", MAX_LIST_ENTRIES
        starts = range(max(1, oldest), newest + 1, step)
        pieces = [ListQuestion(parse_chain(chain), name, one, min(newest, one + step - 1)) for one in starts]
        if asked.first_page:
            yield count_claim("/items", pieces[-1], newest, height)
    for place, one in enumerate(answer.items):
        if (one.chain, one.namespace, one.key) != (chain, namespace, key):
            raise RejectedError(f"the item at {place} is of another record")
        said = one.author, one.digest, one.placed.block.time_s
        yield version_claim(f"/items/{place}", (chain, namespace, key), one.version, said, pieces)
        where = place_of(one.placed)
        yield written_claim(f"/items/{place}/placed", (chain, namespace, key), one.author, one.digest, where)


def _assets(asked: Asked, answer: bodies.AssetsPage, _: Rows) -> Iterator[Claim]:
    heights = heights_of(answer)
    for place, one in enumerate(answer.items):
        at = f"/items/{place}"
        if one.chain.startswith(LEDGER):
            yield defined_claim(at, one, heights.get(one.chain))
        else:
            yield unproven(at, one.chain, "what a token calls itself is a call of its code, which no state proof shows")
    if not asked.first_page or answer.next is not None:
        return
    for chain in sorted(one for one in heights if one.startswith(LEDGER)):
        if asked.query.get("chain", chain) == chain:
            among = frozenset(one.asset.rpartition(":")[2] for one in answer.items if one.chain == chain)
            question = ListQuestion(parse_chain(chain), "assets", 1, MAX_LIST_ENTRIES)
            yield names_claim("/items", question, among, True, heights[chain])


def _contracts(_: Asked, answer: bodies.ContractsPage, __: Rows) -> Iterator[Claim]:
    heights = heights_of(answer)
    for place, one in enumerate(answer.items):
        yield code_claim(f"/items/{place}/contract", one.contract, heights.get(one.chain))


def _supply(_: Asked, answer: reading.SupplyAnswer, __: Rows) -> Iterator[Claim]:
    issued = amount_of(answer.issued.base_units) - amount_of(answer.burned.base_units)
    yield supply_claim("/issued", answer.chain, answer.asset, issued, heights_of(answer).get(answer.chain))


def _concentration(_: Asked, answer: reading.ConcentrationAnswer, __: Rows) -> Iterator[Claim]:
    heights = heights_of(answer)
    for place, one in enumerate(answer.top):
        height = heights.get(chain_of(parse_account(one.account)))
        amount = amount_of(one.amount.base_units)
        yield balance_claim(f"/top/{place}", one.account, one.amount.asset, amount, height)


def _held(at: str, answer: bodies.ConservationAnswer) -> Iterator[Claim]:
    if answer.holder is not None and answer.holder_balance is not None:
        amount, height = amount_of(answer.holder_balance), Height(answer.as_of.height)
        yield balance_claim(f"{at}/holder_balance", answer.holder, answer.asset, amount, height, asked=True)


def _conservation(_: Asked, answer: bodies.ConservationAnswer, __: Rows) -> Iterator[Claim]:
    yield from _held("", answer)


def _summary(_: Asked, answer: bodies.SummaryAnswer, __: Rows) -> Iterator[Claim]:
    for place, one in enumerate(answer.conservation):
        yield from _held(f"/conservation/{place}", one)


def _flows(_: Asked, answer: tracing.TraceAnswer, __: Rows) -> Iterator[Claim]:
    seen: set[tuple[str, str, int]] = set()
    for number, method in enumerate(answer.methods):
        for place, one in enumerate(method.flows):
            key = one.chain, one.tx_hash, one.index
            if key in seen:
                continue
            seen.add(key)
            at = f"/methods/{number}/flows/{place}"
            if one.swap is not None or any(side is not None and side.lock for side in (one.sent, one.received)):
                yield unproven(at, one.chain, OF_THE_LOCK)
                continue
            sent, received = (None if side is None else side.account for side in (one.sent, one.received))
            yield transfer_claim(at, one.chain, one.amount, sent, received, Where(one.tx_hash, one.height))


# --- orders ------------------------------------------------------------------------------------------------------


def _hold(_: Asked, answer: orders.HoldAnswer, __: Rows) -> Iterator[Claim]:
    if answer.held != (answer.order is not None):
        raise RejectedError("a hold names the order that it rests on")
    yield hold_claim("/held", answer.account, answer.order, answer.until)


def _order(at: str, chain: str, said: orders.OrderBody, height: Height | None = None) -> Claim:
    def fault(leaf: OrderLeaf, as_of: AsOf) -> str:
        view = OrderView.at(said.number, leaf, as_of.time.seconds * 1_000)
        return differs("the order", orders.order_body(parse_chain(chain), view), said)

    return order_claim(at, chain, said.number, fault, height)


def _one_order(_: Asked, answer: orders.OrderBody, __: Rows) -> Iterator[Claim]:
    yield _order("", chain_of(parse_account(answer.account)), answer)


def _orders(asked: Asked, answer: orders.OrdersAnswer, _: Rows) -> Iterator[Claim]:
    height = Height(answer.height)
    for place, one in enumerate(answer.items):
        yield _order(f"/items/{place}", answer.chain, one, height)
    if answer.count is None:
        return
    yield count_claim("/count", ListQuestion(parse_chain(answer.chain), "orders", 1, 1), answer.count, height)
    numbers = [one.number for one in answer.items]
    if asked.first_page and not asked.filtered("account"):
        expected = list(range(answer.count, answer.count - len(numbers), -1))
        if numbers != expected or (answer.next is None and numbers and numbers[-1] != 1):
            raise RejectedError("an order is left out: their numbers do not follow each other")


def _halves(_: Asked, answer: orders.HoldHistory, __: Rows) -> Iterator[Claim]:
    chain = chain_of(parse_account(answer.account))
    for place, one in enumerate(answer.items):
        yield order_claim(f"/items/{place}", chain, one.order, _half_fault(answer.account, one))
        where = place_of(one.placed)
        yield signed_claim(f"/items/{place}/placed", answer.account, one.order, one.step, one.officer, where)


def _half_fault(account: str, said: orders.HalfView) -> Callable[[OrderLeaf, AsOf], str]:
    def fault(leaf: OrderLeaf, as_of: AsOf) -> str:
        view = orders.order_body(as_of.block.chain, OrderView.at(said.order, leaf, as_of.time.seconds * 1_000))
        steps = {
            "prepared": view.prepared,
            "in-force": view.approved,
            "lift-prepared": view.lift_prepared,
            "lifted": view.lift_approved,
        }
        step = steps.get(said.step)
        if step is None or view.account != account:
            return f"order {said.order} has no such half"
        return differs("the half", (step.officer, step.time), (said.officer, said.placed.block.time_s))

    return fault


# --- the table ---------------------------------------------------------------------------------------------------


_STATED: Final = (STATEMENT,)
KINDS: Final[Mapping[str, Kind]] = {
    "/v1/chains": Kind(bodies.ChainsAnswer, _chains, reasons=("how far a chain is followed is this process's word",)),
    "/v1/transfers": Kind(bodies.TransfersPage, _transfers, reasons=(WITHIN,)),
    "/v1/swaps": Kind(bodies.SwapsPage, _swaps, reasons=(REPORTED,)),
    "/v1/swaps/{id}": Kind(reading.SwapDocument, _one_swap, reasons=(REPORTED,)),
    "/v1/search": Kind(reading.SearchAnswer, reasons=(NAMES,)),
    "/v1/accounts/{account}": Kind(reading.ProfileAnswer, _profile, reasons=(LABELS,)),
    "/v1/accounts/{account}/moves": Kind(reading.MovesPage, _moves, reasons=(WITHIN,)),
    "/v1/accounts/{account}/counterparties": Kind(
        reading.PartnersAnswer, fault=sums.partners_fault, reasons=(LABELS, WITHIN)
    ),
    "/v1/entities/{id}/holdings": Kind(reading.HoldingsAnswer, _holdings, sums.holdings_fault, reasons=(LABELS,)),
    "/v1/records": Kind(reading.RecordsPage, _records),
    "/v1/records/{chain}/{namespace}/{key}": Kind(reading.RecordsPage, _versions),
    "/v1/assets": Kind(bodies.AssetsPage, _assets),
    "/v1/contracts": Kind(bodies.ContractsPage, _contracts, reasons=(COUNTED,)),
    "/v1/assets/{asset}/conservation": Kind(
        bodies.ConservationAnswer, _conservation, sums.conservation_fault, reasons=(WITHIN,)
    ),
    "/v1/assets/{asset}/supply": Kind(reading.SupplyAnswer, _supply, sums.supply_fault, reasons=(WITHIN,)),
    "/v1/assets/{asset}/concentration": Kind(
        reading.ConcentrationAnswer, _concentration, rests_on=nested.concentration, reasons=(LABELS, WITHIN)
    ),
    "/v1/assets/{asset}/series": Kind(
        reading.SeriesAnswer, fault=sums.velocity_fault, rests_on=nested.series, reasons=(WITHIN,)
    ),
    "/v1/corridors": Kind(reading.CorridorsAnswer, rests_on=nested.corridors, reasons=(REPORTED, WITHIN)),
    "/v1/activity": Kind(reading.ActivityAnswer, fault=sums.activity_fault, reasons=(REPORTED, WITHIN, STANDING)),
    "/v1/summary": Kind(bodies.SummaryAnswer, _summary, sums.summary_fault, reasons=(COUNTED, WITHIN)),
    "/v1/traces/{id}": Kind(tracing.TraceAnswer, _flows, rests_on=nested.trace, reasons=(LABELS, WITHIN)),
    "/v1/orders": Kind(orders.OrdersAnswer, _orders),
    "/v1/orders/{number}": Kind(orders.OrderBody, _one_order),
    "/v1/holds/{account}": Kind(orders.HoldAnswer, _hold),
    "/v1/holds/{account}/history": Kind(orders.HoldHistory, _halves),
    "/v1/audit": Kind(bodies.AuditPage, fault=sums.audit_fault, reasons=("causeway audit verify walks the whole log",)),
    "/v1/alerts": Kind(rules.AlertsPage, rests_on=nested.alerts, reasons=(LABELS,)),
    "/v1/alerts/{id}": Kind(rules.AlertAnswer, rests_on=nested.alert, reasons=(LABELS,)),
    "/v1/lists": Kind(knowledge.ListsPage, reasons=_STATED),
    "/v1/lists/{version}/changes": Kind(knowledge.ChangesPage, reasons=_STATED),
    "/v1/tags": Kind(knowledge.TagsPage, reasons=_STATED),
    "/v1/entities": Kind(knowledge.EntitiesPage, reasons=_STATED),
    "/v1/entities/{id}": Kind(knowledge.EntityAnswer, reasons=_STATED),
    "/v1/rules": Kind(rules.RulesAnswer, reasons=_STATED),
    "/v1/rules/{id}": Kind(rules.RuleView, reasons=_STATED),
    "/v1/rates": Kind(rules.RatesPage, reasons=_STATED),
    "/v1/cases": Kind(rules.CasesPage, reasons=_STATED),
    "/v1/cases/{id}": Kind(rules.CaseDocument, reasons=_STATED),
    "/v1/travel-rule": Kind(travel.TravelPage, reasons=_STATED),
    "/v1/travel-rule/{id}/identities": Kind(travel.TravelIdentities, reasons=_STATED),
}
"""By route."""


@lru_cache(maxsize=256)
def _pattern(route: str) -> re.Pattern[str]:
    parts = re.split(r"\{([a-z_]+)\}", route)
    texts = [re.escape(part) if place % 2 == 0 else f"(?P<{part}>{'.+' if part == 'asset' else '[^/]+'})"
             for place, part in enumerate(parts)]  # fmt: skip
    return re.compile("".join(texts))


def parse_path(route: str, path: str) -> Asked:
    """Return what a path asks of a route of `KINDS`. Raise `RejectedError` if it is not a path of it."""
    place, _, query = path.partition("?")
    found = _pattern(route).fullmatch(place)
    if found is None:
        raise RejectedError(f"{place[:120]!a} is not a path of {route}")
    try:
        given = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), max_num_fields=64)
    except ValueError as error:
        raise RejectedError(f"the query of the path cannot be read: {error}") from None
    return Asked({name: unquote(text) for name, text in found.groupdict().items()}, dict(given))


def asked_fault(asked: Asked, answer: Any) -> str:
    """Return what the answer is about and the path did not ask for, empty if they agree."""
    for name, text in asked.parameters.items():
        match name:
            case "account":
                wanted, said = str(parse_account(text)), answer.account
            case "asset":
                wanted, said = str(parse_asset(text)), answer.asset
            case "number":
                wanted, said = text.lstrip("0"), str(answer.number)
            case "id":
                wanted, said = text, _id_of(answer)
            case _:
                continue
        if said is not None and wanted != said:
            return f"the path names {wanted}, and the answer {said}"
    return ""


def _id_of(answer: Any) -> str | None:
    """The id of what the answer is about."""
    if isinstance(answer, travel.TravelIdentities):
        return str(answer.record.id)
    about = next((getattr(answer, name) for name in ("swap", "alert", "case") if hasattr(answer, name)), answer)
    return getattr(about, "id", None)


def read_answer(kind: Kind, document: Mapping[str, Any]) -> Any:
    """The answer as its type. Raise `RejectedError` for one that is not in its form, or has other members."""
    raw = msgspec.json.encode(document)
    try:
        answer = msgspec.json.decode(raw, type=kind.answer)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise RejectedError(f"the answer is not in the form of its route: {error}") from None
    if msgspec.json.decode(msgspec.json.encode(answer)) != msgspec.json.decode(raw):
        raise RejectedError("the answer has members that its route does not")
    return answer
