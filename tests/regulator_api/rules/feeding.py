"""Generated traffic as blocks of chains, stored as followers store them: in any order, with reorgs."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from bench.traffic import ASSETS, CHAINS, Traffic
from core.model.facts import Block, BlockHeader, ChainEvent, Claimed, Locked, LoggedEvent, Transferred
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    BlockRef,
    ChainId,
    ChainTime,
    Height,
    LockId,
    LockTerms,
    Preimage,
    PublicPreimage,
    SwapId,
)
from indexer import store
from indexer.chain_view import ChainView, advance
from indexer.projections import ReportedAgreement
from regulator_api.knowledge.tags import Entity, Labels, Tag
from regulator_api.values import Rates, rate_of

FOREVER_S = 2**40


def preimage_of(number: int) -> Preimage:
    return Preimage(hashlib.sha256(f"swap {number}".encode()).digest())


def terms_of(traffic: Traffic, number: int, first: bool) -> LockTerms:
    swap = traffic.swaps[number]
    chain, sender, receiver, amount = swap.initiator if first else swap.participant
    return LockTerms(
        AssetId(ASSETS[chain][0]),
        BaseUnits(amount),
        AccountId(traffic.accounts[sender]),
        AccountId(traffic.accounts[receiver]),
        preimage_of(number).hashlock(),
        ChainTime(ChainId(CHAINS[chain]), swap.opened_s + (20_000 if first else 10_000)),
    )


def agreements_of(traffic: Traffic) -> list[ReportedAgreement]:
    return [
        ReportedAgreement(
            SwapId(f"swap-{number}"), terms_of(traffic, number, True), terms_of(traffic, number, False), "relayer-1"
        )
        for number in range(len(traffic.swaps))
    ]


def events_of(traffic: Traffic) -> dict[int, list[tuple[int, int, int, ChainEvent]]]:
    """Return events by chain, each with its time, height and index."""
    found: dict[int, list[tuple[int, int, int, ChainEvent]]] = defaultdict(list)
    for one in traffic.transfers:
        event: ChainEvent
        if one.step:
            verb, role = one.step.split()
            terms = terms_of(traffic, one.swap, role == "initiator")
            lock_id = LockId(f"{one.swap}/{role}")
            secret = preimage_of(one.swap)
            event = (
                Locked(lock_id, terms)
                if verb == "lock"
                else Claimed(lock_id, secret.hashlock(), PublicPreimage(secret.expose()))
            )
        else:
            sender, receiver = (AccountId(traffic.accounts[who]) for who in (one.sender, one.receiver))
            event = Transferred(AssetId(ASSETS[one.chain][0]), sender, receiver, BaseUnits(one.amount))
        found[one.chain].append((one.time_s, one.height, one.event_index, event))
    return found


def labels_of(traffic: Traffic, version: int = 1) -> Labels:
    """Labels of the traffic's accounts. Keepers need no label: the index knows them."""
    tags = []
    for account, categories in sorted(traffic.labels.items()):
        for category in sorted(categories - {"htlc"}):
            tags.append(_tag(account, category, traffic.listed_from_s.get(account, 0)))
    tags += [_tag(account, "person", 0, entity) for account, entity in sorted(traffic.entities.items())]
    entities = [Entity(name, name) for name in sorted(set(traffic.entities.values()))]
    return Labels(tags, entities, version, version)


def _tag(account: str, category: str, from_s: int, entity: str | None = None) -> Tag:
    return Tag(AccountId(account), category, category, "test", 100, from_s, None, None, entity, "test", 1)


def rates_of_traffic() -> Rates:
    prices = (f"{cents / 100:.2f}" for _, _, cents in ASSETS)
    return Rates(
        rate_of(asset, 0, price, decimals, "test") for (asset, decimals, _), price in zip(ASSETS, prices, strict=True)
    )


@dataclass
class Chain:
    """One chain's blocks that are stored; heights are counted without gaps, whatever the traffic says."""

    chain: ChainId
    view: ChainView
    blocks: list[Block]
    salt: int = 0


class Feed:
    """Stores blocks of several chains."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        store.prepare(connection)
        self.chains: dict[int, Chain] = {}
        for index, name in enumerate(CHAINS):
            chain = ChainId(name)
            store.register_chain(connection, chain, bytes([index]) * 32, Height(0))
            self.chains[index] = Chain(chain, ChainView(chain, Height(0)), [])

    def push(self, index: int, events: Iterable[tuple[int, int, int, ChainEvent]]) -> None:
        """Append blocks: one for each height of the traffic that has events."""
        by_height: dict[tuple[int, int], list[ChainEvent]] = defaultdict(list)
        for time_s, height, _, event in events:
            by_height[height, time_s].append(event)
        self._append(index, None, [(time_s, made) for (_, time_s), made in sorted(by_height.items())])

    def reorg(self, index: int, depth: int) -> None:
        """Replace the newest blocks by others with the same events, but in one transaction less or more."""
        chain = self.chains[index]
        depth = min(depth, len(chain.blocks) - 1)
        if depth < 1:
            return
        gone = chain.blocks[-depth:]
        again = [(block.header.time.seconds, [logged.event for logged in block.events]) for block in gone]
        self._append(index, depth, again)

    def _append(self, index: int, depth: int | None, made: Sequence[tuple[int, Sequence[ChainEvent]]]) -> None:
        chain = self.chains[index]
        if depth is not None:
            del chain.blocks[-depth:]
            chain.salt += 1
        branch = []
        for time_s, happened in made:
            parent = chain.blocks[-1].header.ref.hash if chain.blocks else b""
            height = Height(len(chain.blocks))
            digest = hashlib.sha256(f"{chain.chain} {height} {chain.salt} {time_s}".encode() + parent).digest()
            ref = BlockRef(chain.chain, height, digest)
            logged = tuple(
                LoggedEvent(ref, hashlib.sha256(digest + bytes([number % 256])).digest(), number, event)
                for number, event in enumerate(happened)
            )
            block = Block(BlockHeader(ref, parent, ChainTime(chain.chain, time_s)), logged)
            chain.blocks.append(block)
            branch.append(block)
        if not branch:
            return
        before = chain.view
        ancestor = None if branch[0].header.height == 0 else Height(branch[0].header.height - 1)
        first = chain.blocks[0].header
        step = advance(before, ancestor, branch, first)
        store.commit(self.connection, before, step, store.Observation("live", "", None, 0))
        chain.view = step.view
