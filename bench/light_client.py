"""How long a light client takes for a header of four validators, and for a proof of state.

    python -m bench.light_client            # a table
    python -m bench.light_client --json     # the last line alone

Headers are an embedded chain's, which are CometBFT's. An update begins with what came over the wire already decoded:
header hash, both validator sets' hashes, every signature, the power behind them; to the next height, and skipping over
the whole chain. Its limit is its four signatures verified alone by the same libraries. Proofs are of a state of 200,000
accounts; their limit is as many SHA-256 calls of 65 bytes as the proof has siblings, and three for the leaf. Medians.
"""

import argparse
import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from core.model.consortium import AccountLeaf, account_key, encode_leaf, quantity
from core.proofs.cometbft import json as comet_json
from core.proofs.cometbft.light_client import LightClientPolicy, trust, update_trusted
from core.proofs.cometbft.sign_bytes import commit_sign_bytes, verify_signature
from core.proofs.cometbft.types import KeyKind, LightBlock, SignedHeader, Timestamp
from core.proofs.ics23 import SMT_SPEC, existence_from_smt, verify_existence
from core.proofs.smt import verify_absence, verify_inclusion
from core.runtime.clock import ManualClock
from local_chains.consortium.engine.embedded import EmbeddedEngine, open_engine
from local_chains.consortium.engine.rendering import decode
from local_chains.consortium.node import init_home
from local_chains.consortium.state.tree import build, prove, root_hash

ACCOUNTS: Final = 200_000
VALIDATORS: Final = 4
HEIGHTS: Final = 20
ROUNDS: Final = 400
START_S: Final = 1_700_000_000
POLICY: Final = LightClientPolicy(trusting_period_ns=3600 * 10**9, max_clock_drift_ns=10**10)
NOW: Final = Timestamp(START_S + 2 * HEIGHTS, 0)


def median_us(work: Callable[[], Any], rounds: int = ROUNDS) -> float:
    taken = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1e6


async def chain_of(directory: Path, kind: KeyKind) -> list[LightBlock]:
    init_home(directory, "bench-1", VALIDATORS, kind, time_ns=START_S * 10**9)
    clock = ManualClock(START_S + 1)
    engine = await open_engine(directory, clock)
    for _ in range(HEIGHTS):
        await clock.advance(1)
        await engine.produce_block()
    blocks = [await light_block(engine, height) for height in range(1, HEIGHTS + 1)]
    await engine.close()
    return blocks


async def light_block(engine: EmbeddedEngine, height: int) -> LightBlock:
    stored = await engine.store.block(height)
    validators, following = await engine.validators(height), await engine.validators(height + 1)
    if stored is None or validators is None:
        raise SystemExit(f"the benchmark's own chain lacks height {height}")
    header = comet_json.block_from_json(decode(stored.block)["block"]).header
    commit = comet_json.commit_from_json(decode(stored.commit))
    return LightBlock(SignedHeader(header, commit), validators, following)


def measure_updates(blocks: list[LightBlock]) -> dict[str, float]:
    first, second, last = trust(blocks[0]), blocks[1], blocks[-1]
    commit = last.commit
    messages = [commit_sign_bytes("bench-1", commit, index) for index in range(VALIDATORS)]
    keys = [member.public_key for member in last.validators.validators]

    def signatures_alone() -> None:
        for key, message, entry in zip(keys, messages, commit.signatures, strict=True):
            if not verify_signature(key, message, entry.signature):
                raise SystemExit("the benchmark's own signatures do not hold")

    limit_us = median_us(signatures_alone)
    sequential_us = median_us(lambda: update_trusted(first, second, NOW, POLICY))
    skipping_us = median_us(lambda: update_trusted(first, last, NOW, POLICY))
    return {
        "sequential_us": sequential_us,
        "skipping_us": skipping_us,
        "limit_us": limit_us,
        "ratio": limit_us / skipping_us,
    }


def measure_proofs(accounts: int) -> dict[str, float]:
    leaf = encode_leaf(AccountLeaf(7, (("cnyd", quantity(123_456_789)),)))
    addresses = [hashlib.sha256(number.to_bytes(8, "big")).digest()[:20] for number in range(accounts)]
    tree = build({account_key(raw): leaf for raw in addresses})
    root, key, missing = root_hash(tree), account_key(addresses[accounts // 2]), account_key(bytes(20))
    inclusion, absence = prove(tree, key), prove(tree, missing)
    existence = existence_from_smt(key, leaf, inclusion)
    calls = len(inclusion.siblings) + 3
    data = bytes(65)

    def hashes_alone() -> None:
        for _ in range(calls):
            hashlib.sha256(data).digest()

    limit_us = median_us(hashes_alone)
    inclusion_us = median_us(lambda: verify_inclusion(root, key, leaf, inclusion))
    return {
        "siblings": float(len(inclusion.siblings)),
        "inclusion_us": inclusion_us,
        "absence_us": median_us(lambda: verify_absence(root, missing, absence)),
        "ics23_us": median_us(lambda: verify_existence(SMT_SPEC, root, key, leaf, existence)),
        "limit_us": limit_us,
        "ratio": limit_us / inclusion_us,
    }


def measure(accounts: int) -> dict[str, Any]:
    figures: dict[str, Any] = {"validators": VALIDATORS, "accounts": accounts}
    with tempfile.TemporaryDirectory(prefix="causeway-bench-") as name:
        for kind in KeyKind:
            blocks = asyncio.run(chain_of(Path(name) / kind.value, kind))
            figures[kind.value] = measure_updates(blocks)
    figures["proofs"] = measure_proofs(accounts)
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.light_client", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print the last line alone")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    arguments = parser.parse_args()
    figures = measure(arguments.accounts)
    if not arguments.json:
        for kind in KeyKind:
            found = figures[kind.value]
            print(
                f"{kind.value}: next header {found['sequential_us']:.0f} µs, a later {found['skipping_us']:.0f} µs, "
                f"the {VALIDATORS} signatures alone {found['limit_us']:.0f} µs ({found['ratio']:.0%})"
            )
        proofs = figures["proofs"]
        print(
            f"proofs of {proofs['siblings']:.0f} siblings: inclusion {proofs['inclusion_us']:.1f} µs, absence "
            f"{proofs['absence_us']:.1f} µs, ICS-23 {proofs['ics23_us']:.1f} µs; hashing alone "
            f"{proofs['limit_us']:.1f} µs ({proofs['ratio']:.0%})"
        )
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
