"""The ledger's organisations and their proposals as they stand at one height. Unproven: for display."""

from dataclasses import dataclass
from typing import Final, Literal

from adapters.consortium.rpc import CometRpc, count_of, parsed
from adapters.consortium.state import L, query, read_count, read_leaf
from core.model.consortium import CLOCK_KEY, sequence_count_key, sequence_key
from core.model.consortium_members import (
    MAX_ORGANISATIONS,
    ORGANISATIONS,
    PROPOSALS,
    Organisation,
    ProposalLeaf,
    organisation_key,
)
from core.model.errors import RejectedError, RetryableError
from core.model.types import Height

NEWEST_PROPOSALS: Final = 20


@dataclass(frozen=True, slots=True)
class ProposalView:
    """One proposal. Votes are shares of the power that stands behind them now, 0 to 1."""

    number: int
    leaf: ProposalLeaf
    status: Literal["open", "passed", "rejected", "expired"]
    power_for: float
    power_against: float


@dataclass(frozen=True, slots=True)
class MembersView:
    """All organisations there ever were in order of arrival, and the newest proposals first."""

    height: Height
    organisations: tuple[Organisation, ...]
    proposals: tuple[ProposalView, ...]


async def read_members(rpc: CometRpc, newest: int = NEWEST_PROPOSALS) -> MembersView:
    """Raises `RetryableError` while the endpoint does not answer, `RejectedError` where it answers nonsense."""
    clock = await query(rpc, CLOCK_KEY)
    at, time_ms = clock.height, parsed(lambda: count_of(clock.value))
    organisations = []
    for place in range(1, await _count(rpc, ORGANISATIONS, at, MAX_ORGANISATIONS) + 1):
        name = (await query(rpc, sequence_key(ORGANISATIONS, place), at)).value or b""
        organisations.append(await _there(rpc, organisation_key(parsed(name.decode)), Organisation, at))
    powers = {one.account: one.power for one in organisations}
    total = sum(powers.values()) or 1
    count = await _count(rpc, PROPOSALS, at, 2**63)
    proposals = []
    for number in range(count, max(0, count - newest), -1):
        leaf = await _there(rpc, sequence_key(PROPOSALS, number), ProposalLeaf, at)
        shares = [
            sum(powers.get(voter, 0) for voter, approve in leaf.votes if approve is wanted) / total
            for wanted in (True, False)
        ]
        expired = leaf.status == "open" and time_ms >= leaf.expires_ms
        proposals.append(ProposalView(number, leaf, "expired" if expired else leaf.status, *shares))
    return MembersView(at, tuple(organisations), tuple(proposals))


async def _count(rpc: CometRpc, sequence: bytes, at: Height, limit: int) -> int:
    count = await read_count(rpc, sequence_count_key(sequence), at)
    if count > limit:
        raise RejectedError(f"{rpc.url} counts {count} entries in a list that has at most {limit}")
    return count


async def _there(rpc: CometRpc, key: bytes, kind: type[L], at: Height) -> L:
    leaf = await read_leaf(rpc, key, kind, at)
    if leaf is None:
        raise RetryableError(f"{rpc.url} counts an entry at height {at} that is not there")
    return leaf
