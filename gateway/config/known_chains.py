"""Ethereum chains that people know by name: what pins each, and the bounds that timelocks on it are computed from.

Every number is a bound, not a mean: too high costs waiting, too low may cost money. Where a chain's rules promise less
than it usually does, the bound is what it does at its worst in years, and `why` says so. `docs/operating/chains.md` has
the same table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from core.model.errors import RejectedError
from core.model.types import ChainId
from gateway.config.faults import choices
from gateway.config.model import TimingConfig

OBSERVATION_S: Final = 60
"""Until a relayer has noticed and decided: polling, a quorum of endpoints, a retry."""


@dataclass(frozen=True, slots=True)
class KnownChain:
    """One chain. `genesis` is the hash of its first block in hex, None if everybody starts their own. `why` has the
    source of each bound, by the member of `timing`."""

    name: str
    chain: ChainId
    genesis: str | None
    timing: TimingConfig
    why: Mapping[str, str]
    policy: str = "production"


def _known(
    name: str, number: int, genesis: str | None, seconds: tuple[int, int, int, int, int], **why: str
) -> KnownChain:
    block_time_s, inclusion_s, finality_s, lead_s, lag_s = seconds
    timing = TimingConfig(block_time_s, inclusion_s, finality_s, OBSERVATION_S, lead_s, lag_s)
    return KnownChain(name, ChainId(f"eip155:{number}"), genesis, timing, MappingProxyType(why))


_SLOTS: Final = "consensus specification: a slot is 12 s"
_ROLLUP: Final = "its blocks are final once Ethereum has finalized the batch with them: minutes to post, and 30 min"
_MADE_UP: Final = "after an outage the sequencer makes up for missed blocks, with the times that they should have had"

_ALL: Final = (
    _known(
        "ethereum",
        1,
        "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
        (12, 300, 1_800, 15, 30),
        block_time_s=_SLOTS,
        inclusion_s="25 slots, at a fee that follows the market (EIP-1559: a base fee can grow 19-fold in them)",
        finality_s="consensus specification: 2 to 3 epochs of 32 slots (19 min), and one epoch that fails to justify",
        lead_s="a block's time is its slot's start; proposers are early by half a second at most, a slot is to spare",
        lag_s="two slots without a block",
    ),
    _known(
        "sepolia",
        11_155_111,
        "25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9",
        (12, 600, 3_600, 15, 120),
        block_time_s=_SLOTS,
        inclusion_s="50 slots: a test network misses more of them",
        finality_s="as Ethereum, and further epochs that fail to justify",
        lead_s="as Ethereum",
        lag_s="ten slots without a block",
    ),
    _known(
        "base",
        8_453,
        "f712aa9241cc24369b143cf6dce85f0902a9731e70d66818a3a5845b296c73dd",
        (2, 300, 3_600, 15, 2_700),
        block_time_s="OP Stack specification: a block every 2 s",
        inclusion_s="one sequencer, at a fee that follows the market; its outages are the allowances' part",
        finality_s=_ROLLUP,
        lead_s="OP Stack specification: times follow from block numbers, so they do not run ahead",
        lag_s=f"{_MADE_UP}; its longest outage was 43 min (5 September 2023)",
    ),
    _known(
        "op",
        10,
        "7ca38a1916c42007829c55e69d3e9a73265554b586a499015373241b8a3fa48b",
        (2, 300, 3_600, 15, 2_700),
        block_time_s="OP Stack specification: a block every 2 s",
        inclusion_s="one sequencer, at a fee that follows the market; its outages are the allowances' part",
        finality_s=_ROLLUP,
        lead_s="OP Stack specification: times follow from block numbers, so they do not run ahead",
        lag_s=f"{_MADE_UP}; as long as on Base",
    ),
    _known(
        "arbitrum",
        42_161,
        "7ee576b35482195fc49205cec9af72ce14f003b9ae69f6ba0faef4514be8b442",
        (1, 300, 3_600, 3_600, 3_600),
        block_time_s="Nitro: a block every quarter of a second while there is work; less than a second cannot be said",
        inclusion_s="one sequencer, at a fee that follows the market; its outages are the allowances' part",
        finality_s=_ROLLUP,
        lead_s="Arbitrum's documentation of block times: the sequencer may set them up to an hour ahead",
        lag_s="the sequencer's clock; the rules would allow a day, which it has never used",
    ),
    _known(
        "polygon",
        137,
        "a9c28ce2141b56c474f1dc504bee9b01eb1bd7d1a507580d5519d4437a97de1b",
        (2, 300, 1_800, 30, 60),
        block_time_s="Bor: a block every 2 s",
        inclusion_s="150 blocks, at a fee that follows the market",
        finality_s="milestones of Heimdall, seconds apart; their longest delay was 15 min (10 September 2025)",
        lead_s="Bor refuses blocks from the future; producers' clocks differ",
        lag_s="blocks of a producer that is away",
    ),
    _known(
        "bnb",
        56,
        "0d21840abff46b96c84b2ac9e10e4f5cdaeb5693cb665db62a2f3b02d2d57b5b",
        (1, 120, 300, 15, 60),
        block_time_s="BEP-524: three quarters of a second; less than a second cannot be said",
        inclusion_s="more than a hundred blocks, at a fee that follows the market",
        finality_s="BEP-126: two blocks; without fast finality the blocks of half of the validators, twice",
        lead_s="Parlia refuses blocks from the future; validators' clocks differ",
        lag_s="blocks of validators that are away",
    ),
    _known(
        "gnosis",
        100,
        "4f1dd23188aab3a76b463e4af801b52b1248ef073c648cbdc4c9333d3da79756",
        (5, 300, 900, 15, 60),
        block_time_s="Gnosis Beacon Chain: a slot is 5 s",
        inclusion_s="60 slots, at a fee that follows the market",
        finality_s="2 to 3 epochs of 16 slots (4 min), and further ones that fail to justify",
        lead_s="as Ethereum",
        lag_s="twelve slots without a block",
    ),
    KnownChain(
        "anvil",
        ChainId("eip155:31337"),
        None,
        TimingConfig(1, 2, 2, 1, 1, 1),
        MappingProxyType(
            {
                "block_time_s": "started with --block-time 1",
                "inclusion_s": "the next block or the one after it",
                "finality_s": "started with --slots-in-an-epoch 1: two blocks below the head",
                "lead_s": "the clock of this machine",
                "lag_s": "the clock of this machine",
            }
        ),
        "devnet",
    ),
)

KNOWN: Final[Mapping[str, KnownChain]] = MappingProxyType({one.name: one for one in _ALL})

CONSORTIUM_TIMING: Final = TimingConfig(1, 8, 0, OBSERVATION_S, 10, 10)
"""A consortium chain of several organisations: claims and refunds are in a block within 8 s under attack
(`docs/consortium-chain.md`), and a proposer's clock may be 10 s from a validator's own."""
LOCAL_CONSORTIUM_TIMING: Final = TimingConfig(1, 2, 0, 1, 1, 1)
"""The embedded engine on the clock that we read ourselves."""


def known_chain(name: str) -> KnownChain:
    """Raise `RejectedError` for a name that nobody knows here, with the nearest one."""
    found = KNOWN.get(name.strip().lower())
    if found is None:
        raise RejectedError(f"{name[:40]!r} is not a chain that is known by name: {choices(name, sorted(KNOWN))}")
    return found
