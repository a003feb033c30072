"""A beacon chain in small: committees with real BLS keys that rotate and sign headers, through all forks.

Its state has what light clients read and zeros elsewhere, its body an execution header.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from core.model.beacon import BeaconAnchor, BeaconFork, BeaconNetwork, ForkStart
from core.model.types import ChainId, Seconds
from core.proofs import ethereum
from core.proofs.beacon import light_client, ssz
from core.proofs.beacon.bls import DOMAIN_SEPARATION_TAG
from core.proofs.beacon.chain import SyncChain
from core.proofs.beacon.containers import (
    BeaconHeader,
    Bootstrap,
    Branch,
    ExecutionHeader,
    Finality,
    LightHeader,
    NextCommittee,
    SyncCommittee,
    Update,
)

CHAIN = ChainId("eip155:31337")
GENESIS_TIME = 1_700_000_000
GENESIS_ROOT = hashlib.sha256(b"a genesis").digest()
SIZE = 32
FORKS = tuple(
    ForkStart(fork, epoch, bytes([fork, 0, 0, 1]))
    for fork, epoch in (
        (BeaconFork.ALTAIR, 0),
        (BeaconFork.BELLATRIX, 8),
        (BeaconFork.CAPELLA, 16),
        (BeaconFork.DENEB, 24),
        (BeaconFork.ELECTRA, 32),
        (BeaconFork.FULU, 40),
    )
)
NETWORK = BeaconNetwork(GENESIS_TIME, GENESIS_ROOT, 6, 8, 8, SIZE, FORKS)
"""Periods of 64 slots, a fork with each of the first six."""
PERIOD = 64
ELECTRA = PERIOD * 4


@cache
def secret(seed: int) -> int:
    """A member's key."""
    return int.from_bytes(hashlib.sha512(b"member %d" % seed).digest(), "big") % (1 << 250) + 1


@cache
def public(seed: int) -> G1Point:
    """The member's public key."""
    return G1Point() * Scalar(secret(seed))


@cache
def committee(period: int, size: int = SIZE) -> SyncCommittee:
    """The committee of a period: others in each, some of them twice, as draws have it."""
    seeds = members(period, size)
    keys = [public(seed) for seed in seeds]
    total = G1Point.identity()
    for key in keys:
        total = total + key
    return SyncCommittee(tuple(bytes(key.to_compressed_bytes()) for key in keys), bytes(total.to_compressed_bytes()))


def members(period: int, size: int = SIZE) -> list[int]:
    """Seeds of the keys of a committee."""
    return [period * 1000 + place % (size - 2) for place in range(size)]


@dataclass(frozen=True)
class Tree:
    """A Merkle tree with these leaves at their generalized indices, and zeros elsewhere."""

    leaves: Mapping[int, bytes]

    def node(self, index: int) -> bytes:
        if index in self.leaves:
            return self.leaves[index]
        depth = index.bit_length()
        if not any(leaf >> (leaf.bit_length() - depth) == index for leaf in self.leaves if leaf.bit_length() > depth):
            return ssz.ZERO_CHUNK
        return ssz.hash_pair(self.node(2 * index), self.node(2 * index + 1))

    def branch(self, index: int) -> Branch:
        siblings = []
        while index > 1:
            siblings.append(self.node(index ^ 1))
            index >>= 1
        return tuple(siblings)


def execution_of(header: ethereum.EthereumHeader, *, blobs: bool) -> ExecutionHeader:
    """The beacon chain's form of an Ethereum header; it has other roots of transactions, which nobody here reads."""
    assert header.base_fee_per_gas is not None
    return ExecutionHeader(
        header.parent_hash,
        header.beneficiary,
        header.state_root,
        header.receipts_root,
        header.logs_bloom,
        header.mix_hash,
        header.number,
        header.gas_limit,
        header.gas_used,
        header.timestamp,
        header.extra_data,
        header.base_fee_per_gas,
        ethereum.header_hash(header),
        hashlib.sha256(b"transactions").digest(),
        hashlib.sha256(b"withdrawals").digest(),
        (header.blob_gas_used or 0) if blobs else None,
        (header.excess_blob_gas or 0) if blobs else None,
    )


def plain_header(number: int) -> ethereum.EthereumHeader:
    """An Ethereum header like any other."""
    root = hashlib.sha256(b"%d" % number).digest()
    empty = bytes(256)
    return ethereum.EthereumHeader(
        root, root, root[:20], root, root, root, empty, 0, number, 30_000_000, 21_000, 1_700_000_000 + number, b"x",
        root, bytes(8), 7, root, 0, 0, root, root,
    )  # fmt: skip


@dataclass
class ToyBeacon:
    """Makes headers at slots on demand. `blocks`: the Ethereum header in a slot's block, one of its own otherwise."""

    network: BeaconNetwork = NETWORK
    blocks: dict[int, ethereum.EthereumHeader] = field(default_factory=dict)
    committees: dict[int, SyncCommittee] = field(default_factory=dict)

    def committee(self, period: int) -> SyncCommittee:
        return self.committees.get(period) or committee(period, self.network.committee_size)

    def header(self, slot: int, finalized: LightHeader | None = None) -> LightHeader:
        """The header at a slot; its state calls `finalized` final."""
        fork = self.network.fork_at(slot).fork
        execution, body_root = None, hashlib.sha256(b"body").digest()
        branch: Branch = ()
        if fork >= BeaconFork.CAPELLA:
            block = self.blocks.get(slot) or plain_header(slot)
            execution = execution_of(block, blobs=fork >= BeaconFork.DENEB)
            body = Tree({light_client.EXECUTION_PAYLOAD: execution.root()})
            branch, body_root = body.branch(light_client.EXECUTION_PAYLOAD), body.node(1)
        state = self.state(slot, finalized)
        parent = hashlib.sha256(b"parent of %d" % slot).digest()
        return LightHeader(BeaconHeader(slot, slot % 7, parent, state.node(1), body_root), execution, branch)

    def state(self, slot: int, finalized: LightHeader | None) -> Tree:
        since = self.network.fork_at(slot).fork >= BeaconFork.ELECTRA
        period = self.network.period_of(slot)
        return Tree(
            {
                light_client.CURRENT_COMMITTEE[since]: self.committee(period).root(),
                light_client.NEXT_COMMITTEE[since]: self.committee(period + 1).root(),
                light_client.FINALIZED_ROOT[since]: bytes(32) if finalized is None else finalized.beacon.root(),
            }
        )

    def bootstrap(self, slot: int) -> Bootstrap:
        since = self.network.fork_at(slot).fork >= BeaconFork.ELECTRA
        branch = self.state(slot, None).branch(light_client.CURRENT_COMMITTEE[since])
        return Bootstrap(self.header(slot), self.committee(self.network.period_of(slot)), branch)

    def update(
        self,
        attested: int,
        finalized: int | None,
        *,
        signed: int | None = None,
        following: bool = True,
        signers: Sequence[int] | None = None,
    ) -> Update:
        """An update attested at a slot. `signers`: places of the members that sign, all by default."""
        since = self.network.fork_at(attested).fork >= BeaconFork.ELECTRA
        final = None if finalized is None else self.header(finalized)
        state = self.state(attested, final)
        slot = attested + 1 if signed is None else signed
        places = range(self.network.committee_size) if signers is None else signers
        named = None
        if following:
            next_committee = self.committee(self.network.period_of(attested) + 1)
            named = NextCommittee(next_committee, state.branch(light_client.NEXT_COMMITTEE[since]))
        finality = None if final is None else Finality(final, state.branch(light_client.FINALIZED_ROOT[since]))
        bits = sum(1 << place for place in places).to_bytes(self.network.committee_size // 8, "little")
        unsigned = Update(self.header(attested, final), named, finality, bits, bytes(96), slot)
        return self.signed(unsigned, places)

    def signed(self, update: Update, places: Sequence[int], network: BeaconNetwork | None = None) -> Update:
        """The update signed by these members of its committee."""
        network = network or self.network
        seeds = members(network.period_of(update.signature_slot), network.committee_size)
        key = Scalar(sum(secret(seeds[place]) for place in places) % _ORDER)
        point = G2Point.hash_to_curve(light_client.signing_root(update, network), DOMAIN_SEPARATION_TAG) * key
        return replace(update, signature=bytes(point.to_compressed_bytes()))

    def chain(self, start: int, target: int) -> SyncChain:
        """A way from the block at `start` to that at `target`, an update for each period on the way."""
        network = self.network
        updates = [
            self.update(period * PERIOD + 40, period * PERIOD + 24)
            for period in range(network.period_of(start), network.period_of(target))
        ]
        return SyncChain(self.bootstrap(start), (*updates, self.update(target + 16, target, following=False)))

    def anchor(self, slot: int, trusting_period_s: int = 100_000) -> BeaconAnchor:
        root = self.header(slot).beacon.root()
        return BeaconAnchor(CHAIN, self.network, root, Seconds(trusting_period_s))


_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
