"""An answer fits its question: what a list shows is what its filters ask for. Pure.

Without this an answer could be passed on under another question than the one that it answers.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset, parse_chain
from regulator_api import bodies
from regulator_api.proofs.claims import amount_of
from regulator_api.reading import bodies as reading
from regulator_api.reading.questions import STEP_S, parse_hash
from regulator_api.rules import bodies as rules

Query = Mapping[str, str]
Fits = Callable[[str, Any], bool]
"""Return true if an item is one that a filter with this text asks for."""


def _number(text: str) -> int:
    """Raise `RejectedError` for what is not a whole number."""
    return amount_of(text)


def _party(text: str, *parties: str | None) -> bool:
    return parse_account(text) in parties


def _hash(text: str, said: str) -> bool:
    return parse_hash(text).hex() == said.removeprefix("0x")


_TRANSFERS: Final[Mapping[str, Fits]] = {
    "chain": lambda text, one: parse_chain(text) == one.chain,
    "asset": lambda text, one: parse_asset(text) == one.amount.asset,
    "account": lambda text, one: _party(text, one.sender, one.receiver),
    "counterparty": lambda text, one: _party(text, one.sender, one.receiver),
    "tx": lambda text, one: _hash(text, one.placed.tx_hash),
    "since_s": lambda text, one: one.placed.block.time_s >= _number(text),
    "until_s": lambda text, one: one.placed.block.time_s <= _number(text),
    "min_amount": lambda text, one: amount_of(one.amount.base_units) >= _number(text),
    "max_amount": lambda text, one: amount_of(one.amount.base_units) <= _number(text),
}
_SWAPS: Final[Mapping[str, Fits]] = {
    "status": lambda text, one: one.status == text,
    "hashlock": lambda text, one: _hash(text, one.hashlock),
    "since_s": lambda text, one: one.opened_s >= _number(text),
    "until_s": lambda text, one: one.opened_s <= _number(text),
    "chain": lambda text, one: _leg(one, lambda terms: parse_chain(text) == terms.chain),
    "asset": lambda text, one: _leg(one, lambda terms: parse_asset(text) == terms.amount.asset),
    "account": lambda text, one: _leg(one, lambda terms: _party(text, terms.sender, terms.receiver)),
}
_RECORDS: Final[Mapping[str, Fits]] = {
    "chain": lambda text, one: parse_chain(text) == one.chain,
    "namespace": lambda text, one: one.namespace == text,
}
_OF_CHAIN: Final[Mapping[str, Fits]] = {"chain": lambda text, one: parse_chain(text) == one.chain}
_ALERTS: Final[Mapping[str, Fits]] = {
    "typology": lambda text, one: one.typology == text,
    "rule": lambda text, one: one.rule == text,
    "subject": lambda text, one: one.subject == (parse_account(text) if ":" in text else text),
}
_ITEMS: Final[Mapping[Any, Mapping[str, Fits]]] = {
    bodies.TransfersPage: _TRANSFERS,
    bodies.SwapsPage: _SWAPS,
    reading.RecordsPage: _RECORDS,
    bodies.AssetsPage: _OF_CHAIN,
    bodies.ContractsPage: _OF_CHAIN,
    rules.AlertsPage: _ALERTS,
}


def _leg(swap: bodies.SwapAnswer, fits: Callable[[bodies.TermsView], bool]) -> bool:
    """Return true if one of the agreed legs fits. Of a swap without agreed terms not every lock is shown."""
    legs = [leg.agreed for leg in (swap.initiator, swap.participant) if leg is not None]
    return not legs or any(fits(terms) for terms in legs)


def query_fault(query: Query, answer: Any, rows: Any) -> str:
    """Return what of an answer its query did not ask for, empty if it fits."""
    items = getattr(answer, "items", [])
    for name, fits in _ITEMS.get(type(answer), {}).items():
        text = query.get(name)
        place = None if text is None else next((n for n, one in enumerate(items) if not fits(text, one)), None)
        if place is not None:
            return f"the item at {place} is not one of {name}={str(text)[:80]}"
    if isinstance(items, list) and "limit" in query and len(items) > _number(query["limit"]):
        return f"there are more than {query['limit'][:20]} items"
    if isinstance(answer, reading.ActivityAnswer) and answer.jurisdiction != query.get("jurisdiction"):
        return "the answer is of another jurisdiction"
    if isinstance(answer, reading.SeriesAnswer | reading.ActivityAnswer):
        said = {"since_s": answer.since_s, "until_s": answer.until_s}
        for name, value in said.items():
            if name in query and _number(query[name]) != value:
                return f"{name} is {value}, and not {query[name][:20]}"
    if isinstance(answer, reading.SeriesAnswer) and STEP_S.get(query.get("step", "day")) != answer.step_s:
        return f"the step is {answer.step_s} s"
    if isinstance(answer, reading.PartnersAnswer):
        since_s, until_s = (_number(query[name]) if name in query else None for name in ("since_s", "until_s"))
        for row in rows or ():
            time_s = row[0] if row else None
            if not isinstance(time_s, int):
                raise RejectedError("a row begins with its time")
            if (since_s is not None and time_s < since_s) or (until_s is not None and time_s > until_s):
                return f"a move at {time_s} is out of the span that was asked for"
    return ""
