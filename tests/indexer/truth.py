"""Rules that any reader of the facts may rely on, checked by replaying them."""

from collections import defaultdict
from collections.abc import Set

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from core.model.facts import Block
from core.model.types import ChainId, Height
from indexer import tables
from indexer.feed import MAX_FACTS, Fact, FactKind, read_facts
from indexer.projections.swaps import JoinedSwap, joined_swap


def all_facts(connection: Connection, after_seq: int = 0) -> list[Fact]:
    facts: list[Fact] = []
    while page := read_facts(connection, facts[-1].seq if facts else after_seq, MAX_FACTS):
        facts += page
    return facts


def all_swaps(connection: Connection) -> list[JoinedSwap]:
    """Every swap, the newest first."""
    swap = tables.swaps.c
    query = sa.select(tables.swaps).order_by(swap.opened_s.desc(), swap.swap_id.desc())
    return [joined_swap(connection, row) for row in connection.execute(query).all()]


def replay(
    facts: list[Fact], marked: Set[int] | None = None
) -> tuple[dict[ChainId, list[Block]], dict[ChainId, Height]]:
    """The chains that the facts describe, and how far each is final. Fails if the facts contradict themselves.

    `marked` are the facts with which reorgs below finality began: if they are given, a block that was final is
    reverted by one of these, and by each of these.
    """
    chains: dict[ChainId, list[Block]] = defaultdict(list)
    final: dict[ChainId, Height] = {}
    deep: set[int] = set()
    began = 0
    assert [fact.seq for fact in facts] == list(range(1, len(facts) + 1))
    previous: FactKind | None = None
    for fact in facts:
        branch = chains[fact.chain]
        match fact.kind:
            case FactKind.APPLIED:
                if branch:
                    assert fact.header.parent_hash == branch[-1].header.ref.hash
                    assert fact.header.height == branch[-1].header.height + 1
                branch.append(Block(fact.header, fact.events))
            case FactKind.REVERTED:
                assert branch.pop() == Block(fact.header, fact.events)
                if previous is not FactKind.REVERTED:
                    began = fact.seq
                if fact.header.height <= final.get(fact.chain, -1):
                    deep.add(began)
                    final[fact.chain] = Height(fact.header.height - 1)
            case FactKind.FINALIZED:
                assert fact.header.height > final.get(fact.chain, -1)
                assert fact.header in [block.header for block in branch]
                final[fact.chain] = fact.header.height
        previous = fact.kind
    assert marked is None or deep == marked
    return chains, final
