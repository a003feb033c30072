"""The genesis file of a new chain from its founders' applications: the same bytes, whoever makes it.

Everything in it follows from the applications: organisations in the order of their names, and the time of the youngest
application as the chain's first.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final

from core.model.consortium_members import MAX_ORGANISATIONS, MAX_VALIDATORS
from core.model.errors import RejectedError
from local_chains.consortium.engine.home import Genesis, genesis_file, parse_genesis
from local_chains.consortium.founding.application import Terms, keys_of
from local_chains.consortium.ledger.genesis import AppState, GenesisAsset, GenesisMember, GenesisOperator

MAX_AHEAD_MS: Final = 10 * 60 * 1_000
"""An application from further in the future than this was made by a machine whose clock is wrong."""
NS_PER_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Founding:
    """A chain that is not running yet. `founders` are in the order of their names."""

    genesis: Genesis
    founders: tuple[Terms, ...]

    @property
    def total_power(self) -> int:
        return sum(one.power for one in self.founders)

    @property
    def indispensable(self) -> tuple[str, ...]:
        """The names of those who can stop the chain alone: with a third of the power or more."""
        return tuple(one.name for one in self.founders if 3 * one.power >= self.total_power)

    def peers_of(self, name: str) -> str:
        """The others' nodes, as `persistent_peers` of CometBFT's configuration lists them."""
        return ",".join(one.peer for one in self.founders if one.name != name)


def found(applications: Sequence[Terms], now_ms: int) -> Founding:
    """Raise `RejectedError` with the names of those who cannot be on one chain together."""
    if not 0 < len(applications) <= MAX_ORGANISATIONS:
        raise RejectedError(f"a chain is founded by 1 to {MAX_ORGANISATIONS} organisations, not {len(applications)}")
    founders = tuple(sorted(applications, key=lambda one: one.name))
    _require_own(founders, lambda one: [one.name], "the same name: each organisation applies once")
    _require_own(founders, lambda one: [key.data for key in keys_of(one).values()], "a key in common")
    _require_own(founders, lambda one: [one.node.lower()], "their nodes at the same address")
    _require_own(founders, lambda one: [asset.symbol for asset in one.assets], "an asset of the same symbol")
    _require_alike(founders, lambda one: one.chain_id, "chain")
    validators = tuple(one for one in founders if one.power)
    _require_alike(validators, lambda one: one.key_kind, "kind of consensus key")
    if not 0 < len(validators) <= MAX_VALIDATORS:
        raise RejectedError(f"a chain has 1 to {MAX_VALIDATORS} validators, these are {len(validators)}")
    for one in founders:
        if one.made_ms > now_ms + MAX_AHEAD_MS:
            raise RejectedError(
                f"{one.name} applied {(one.made_ms - now_ms) // 60_000:,} minutes from now: set its machine's clock or "
                "this one's right, and make the application again"
            )
    raw = genesis_file(founders[0].chain_id, max(one.made_ms for one in founders) * NS_PER_MS, _app_state(founders))
    return Founding(parse_genesis(raw), founders)


def _app_state(founders: Sequence[Terms]) -> AppState:
    operators = tuple(
        GenesisOperator(one.name, one.account, one.power, one.key_kind, one.key, one.roles, one.attestor)
        for one in founders
        if one.power
    )
    members = tuple(GenesisMember(one.name, one.account_address.hex(), one.roles) for one in founders if not one.power)
    assets = [
        GenesisAsset(asset.symbol, one.account_address.hex(), asset.decimals)
        for one in founders
        for asset in one.assets
    ]
    return AppState(operators, tuple(sorted(assets, key=lambda asset: asset.symbol)), (), members)


def _require_own(founders: Sequence[Terms], parts: Callable[[Terms], Sequence[Hashable]], common: str) -> None:
    owners: dict[Hashable, int] = {}
    for place, one in enumerate(founders):
        for part in parts(one):
            other = owners.setdefault(part, place)
            if other != place:
                raise RejectedError(f"{founders[other].name} and {one.name} have {common}")


def _require_alike(founders: Sequence[Terms], part: Callable[[Terms], str], what: str) -> None:
    for one in founders[1:]:
        if part(one) != part(founders[0]):
            raise RejectedError(
                f"{founders[0].name} applies with {what} {part(founders[0])!r}, {one.name} with {part(one)!r}: "
                "agree on one"
            )
