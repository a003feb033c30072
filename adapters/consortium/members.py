"""The ledger's organisations and their proposals as they stand at one height. Unproven: for display."""

from dataclasses import dataclass
from typing import Final, Literal

from adapters.consortium.rpc import CometRpc, count_of, parsed
from adapters.consortium.state import L, query, read_count, read_leaf
from core.model.consortium import CLOCK_KEY, sequence_count_key, sequence_key
from core.model.consortium_members import (
    MAX_ORGANISATIONS,
    MISBEHAVIOUR,
    ORGANISATIONS,
    PROPOSALS,
    VERSION_KEY,
    MisbehaviourLeaf,
    Organisation,
    ProposalLeaf,
    organisation_key,
)
from core.model.errors import RejectedError, RetryableError
from core.model.types import Height

NEWEST_PROPOSALS: Final = 20


@dataclass(frozen=True, slots=True)
class ProposalView:
    """One proposal. Votes are shares of the power, 0 to 1: of that when the newest vote came in.

    `before` are the organisation's terms as they stand now, None for a new one.
    """

    number: int
    leaf: ProposalLeaf
    status: Literal["open", "passed", "rejected", "void", "expired"]
    power_for: float
    power_against: float
    before: Organisation | None

    @property
    def step(self) -> int:
        """How much more power the organisation would have than now."""
        return self.leaf.organisation.power - (0 if self.before is None else self.before.power)


@dataclass(frozen=True, slots=True)
class MembersView:
    """All organisations there ever were in order of arrival, and the newest proposals first.

    `version` is that of the list of organisations, which proposals name.
    """

    height: Height
    version: int
    organisations: tuple[Organisation, ...]
    proposals: tuple[ProposalView, ...]
    misbehaviour: tuple[MisbehaviourLeaf, ...]
    """Offences of validators, the newest first."""


async def read_members(rpc: CometRpc, newest: int = NEWEST_PROPOSALS) -> MembersView:
    """Raise `RetryableError` while the endpoint does not answer, `RejectedError` if it answers nonsense."""
    clock = await query(rpc, CLOCK_KEY)
    at, time_ms = clock.height, parsed(lambda: count_of(clock.value))
    organisations = []
    for place in range(1, await _count(rpc, ORGANISATIONS, at, MAX_ORGANISATIONS) + 1):
        name = (await query(rpc, sequence_key(ORGANISATIONS, place), at)).value or b""
        organisations.append(await _there(rpc, organisation_key(parsed(name.decode)), Organisation, at))
    standing = {one.name: one for one in organisations}
    version = 1 + await read_count(rpc, VERSION_KEY, at)
    count = await _count(rpc, PROPOSALS, at, 2**63)
    proposals = []
    for number in range(count, max(0, count - newest), -1):
        leaf = await _there(rpc, sequence_key(PROPOSALS, number), ProposalLeaf, at)
        for_it, against, total = leaf.tally
        shares = for_it / (total or 1), against / (total or 1)
        expired = leaf.status == "open" and time_ms >= leaf.expires_ms
        before = standing.get(leaf.organisation.name)
        proposals.append(ProposalView(number, leaf, "expired" if expired else leaf.status, *shares, before))
    caught = await _count(rpc, MISBEHAVIOUR, at, 2**63)
    misbehaviour = [
        await _there(rpc, sequence_key(MISBEHAVIOUR, place), MisbehaviourLeaf, at)
        for place in range(caught, max(0, caught - newest), -1)
    ]
    return MembersView(at, version, tuple(organisations), tuple(proposals), tuple(misbehaviour))


async def _count(rpc: CometRpc, sequence: bytes, at: Height, limit: int) -> int:
    count = await read_count(rpc, sequence_count_key(sequence), at)
    if count > limit:
        raise RejectedError(f"{rpc.origin} counts {count} entries in a list that has at most {limit}")
    return count


async def _there(rpc: CometRpc, key: bytes, kind: type[L], at: Height) -> L:
    leaf = await read_leaf(rpc, key, kind, at)
    if leaf is None:
        raise RetryableError(f"{rpc.origin} counts an entry at height {at} that is not there")
    return leaf
