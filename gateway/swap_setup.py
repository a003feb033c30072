"""`causeway swap init`: from a relayer's URL and endpoints of one's own to a configuration for swaps.

The relayer is asked for what it trades and where its contract stands. Its word is held against the chains: the contract
must have the code that we ship, tokens describe themselves, and the key of its prices is written down, so that another
key is refused from then on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from core.model.consortium import asset_symbol
from core.model.errors import ConflictError, RejectedError
from core.model.identifiers import parse_asset
from core.model.types import ChainId, chain_of
from core.runtime.files import locked, replace_file
from gateway import setup
from gateway.config import AccountConfig, SwapConfig, to_toml, verified
from gateway.config.known_chains import KnownChain
from relayer.client import RelayerApi

CONFIGURATION: Final = "swap.toml"
KEYS: Final = ("ethereum", "consortium")
MAX_PAIRS: Final = 500
"""As many pairs of a relayer are looked at."""
_COMMENTS: Final = {
    "relayer_key =": "The key of the relayer's prices: compare it with what its operator published.",
    "policy =": "Allowances for people and outages that timelocks contain: production, or devnet.",
    "endpoints =": "Endpoints of one operator count once: more than half of the operators must agree.",
    "assets =": "What the relayer trades here: leave out what you do not know.",
    "start =": "Blocks before it are not looked at.",
    "[chains.timing]": "Bounds in seconds; docs/operating/chains.md has their sources. Too low may cost money.",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A user's answers: the relayer's URL, the EVM chain, endpoints of it, and endpoints of the consortium chain.

    `contract` is the HashedTimelock's address, None for the one that the relayer names.
    """

    relayer: str
    evm: KnownChain
    rpc: Sequence[str]
    consortium: Sequence[str]
    contract: str | None = None
    passphrase_env: str = "CAUSEWAY_PASSPHRASE"


@dataclass(frozen=True, slots=True)
class Drafted:
    """A configuration that checks, and the symbols that each chain's account may need."""

    config: SwapConfig
    symbols: dict[ChainId, list[str]] = field(default_factory=dict)


async def draft(wanted: Wanted) -> Drafted:
    """Return the configuration.

    Raise `RejectedError` if the relayer does not trade between these chains, `RetryableError` while somebody does not
    answer, `FatalError` for a contract that is not ours.
    """
    async with RelayerApi(wanted.relayer) as api:
        key, pairs, chains = (await api.relayer()).quote_key, await api.pairs(), await api.chains()
    traded = dict.fromkeys(
        parse_asset(one.id) for pair in pairs[:MAX_PAIRS] for one in (pair.initiator, pair.participant)
    )
    here = [asset for asset in traded if chain_of(asset) == wanted.evm.chain]
    if not here:
        raise RejectedError(f"the relayer at {wanted.relayer} trades nothing on {wanted.evm.chain}: name another chain")
    holder = next((one.htlc_holder for one in chains if one.id == wanted.evm.chain), None)
    contract = wanted.contract or holder
    if contract is None:
        raise RejectedError(f"the relayer names no contract on {wanted.evm.chain}: give its address by --contract")
    tokens = [asset.rpartition(":")[2] for asset in here if "/erc20:" in asset]
    evm = await setup.evm_chain(wanted.evm, wanted.rpc, contract, tokens)
    symbols = [asset_symbol(asset) for asset in traded if asset.startswith("causeway:")]
    consortium = await setup.consortium_chain(wanted.evm, wanted.consortium, symbols)
    if missing := [asset for asset in consortium.assets if asset not in traded]:
        raise RejectedError(f"the relayer trades on another chain than {consortium.id}: it does not know {missing[0]}")
    config = SwapConfig(
        relayer=wanted.relayer,
        relayer_key=key,
        keystore=setup.KEYSTORE,
        passphrase_env=wanted.passphrase_env,
        policy=wanted.evm.policy,
        chains=(evm, consortium),
        accounts=(AccountConfig(evm.id, KEYS[0]), AccountConfig(consortium.id, KEYS[1])),
    )
    return Drafted(
        verified(config),
        {
            ChainId(chain.id): [asset.symbol for asset in (await setup.chain_assets(chain)).values()]
            for chain in (evm, consortium)
        },
    )


def write(directory: Path, drafted: Drafted) -> Path:
    """Write `swap.toml` with comments, and return its path. Raise `ConflictError` if there is one already."""
    path = directory / CONFIGURATION
    lines = [
        "# Swaps with one relayer, your own keys and your own endpoints: `causeway swap 0.5 eth cnyd`. Every member is",
        "# described in docs/operating/configuration.md. Secrets are not in it: the keystore is encrypted, and its",
        f"# passphrase comes from the environment variable {drafted.config.passphrase_env}.",
        "",
    ]
    with locked(path, "wait until it has ended"):
        if path.exists():
            raise ConflictError(f"{path} exists already: name another directory, or edit it")
        text = setup.with_comments(lines, to_toml(drafted.config, defaults=False), _COMMENTS)
        replace_file(path, text.encode(), 0o644)
    return path
