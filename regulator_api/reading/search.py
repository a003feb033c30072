"""One box for everything: the form of the words says what they can name, and the index says if it is there."""

import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import quote

from core.model.errors import RejectedError
from core.model.identifiers import parse_account, parse_asset
from core.model.types import MAX_IDENTIFIER_CHARS, AccountId, AssetId, ChainId, Hashlock, SwapId, chain_of
from regulator_api.answers import hex_of
from regulator_api.knowledge.tags import Labels
from regulator_api.reading.bodies import HitView
from regulator_api.view import View
from regulator_api.view.accounts import accounts_named, span
from regulator_api.view.swaps import swap_by_id, swaps_under
from regulator_api.view.things import assets_named, records_named, transactions
from regulator_api.view.whole import names_asset

MAX_HITS: Final = 50
ADDRESS_DIGITS: Final = 40
_HASH: Final = re.compile(r"(?:0[xX])?([0-9a-fA-F]{64})")
_ADDRESS: Final = re.compile(r"[-.%a-zA-Z0-9]{1,128}")


def search(view: View, words: str, chains: Sequence[ChainId], labels: Labels) -> list[HitView]:
    """Return what the words name for this caller, at most `MAX_HITS`, the most exact first."""
    words = words.strip()
    hits: list[HitView] = []
    found = _HASH.fullmatch(words)
    if found is not None:
        raw = bytes.fromhex(found[1])
        for chain in transactions(view, raw):
            text = hex_of(chain, raw)
            hits.append(_hit("transaction", text, f"/v1/transfers?tx={text}", f"a transaction of {chain}"))
        hits += [_swap_hit(one.swap_id, one.status.value) for one in swaps_under(view, Hashlock(raw), MAX_HITS)]
    with suppress(RejectedError):
        hits += _accounts(view, [parse_account(words)], labels)
    with suppress(RejectedError):
        hits += [_asset_hit(asset, "") for asset in [parse_asset(words)] if names_asset(view, asset)]
    if ":" not in words and "/" not in words and _ADDRESS.fullmatch(words):
        hits += _accounts(view, accounts_named(view, _spellings(words, chains)), labels)
        hits += [_asset_hit(asset, symbol) for asset, symbol in assets_named(view, words, MAX_HITS)]
        members = [one for one in labels.accounts_of(words) if view.sees([one])]
        if members:
            hits.append(_hit("entity", words, f"/v1/entities/{quote(words)}/holdings", f"{len(members)} accounts"))
    if len(words) <= MAX_IDENTIFIER_CHARS and words.isascii() and words.isprintable():
        swap = swap_by_id(view, SwapId(words))
        if swap is not None:
            hits.append(_swap_hit(swap.swap_id, swap.status.value))
        hits += [
            _hit("record", f"{one.namespace}/{one.key}", one.path, f"version {one.version} on {one.chain}")
            for one in records_named(view, words, MAX_HITS)
        ]
    return hits[:MAX_HITS]


def _spellings(address: str, chains: Sequence[ChainId]) -> list[str]:
    """The accounts that a bare address can name, as each chain writes them."""
    digits = address[2:] if address[:2] in ("0x", "0X") else address
    if len(digits) != ADDRESS_DIGITS or not set(digits) <= set("0123456789abcdefABCDEF"):
        return [f"{chain}:{address}" for chain in chains]
    low = digits.lower()
    return [f"{chain}:0x{low}" if chain.startswith("eip155:") else f"{chain}:{low}" for chain in chains]


def _accounts(view: View, accounts: Sequence[AccountId], labels: Labels) -> list[HitView]:
    hits = []
    for account in accounts:
        if span(view, account) is not None:
            tags = ", ".join(sorted(labels.categories(account, view.as_of.time_s))) if view.sees([account]) else ""
            hits.append(_hit("account", account, f"/v1/accounts/{quote(account)}", tags or chain_of(account)))
    return hits


def _asset_hit(asset: AssetId, symbol: str) -> HitView:
    return _hit("asset", asset, f"/v1/assets/{quote(asset, safe='')}/supply", symbol)


def _swap_hit(swap_id: SwapId, status: str) -> HitView:
    return _hit("swap", swap_id, f"/v1/swaps/{quote(swap_id, safe='')}", status)


def _hit(kind: str, name: str, path: str, detail: str) -> HitView:
    return HitView(kind=kind, id=name, path=path, detail=detail)  # type: ignore[arg-type]
