"""The gas of proving a consortium chain's headers and answers on Ethereum, as receipts say.

    python -m bench.query_gas            # a table
    python -m bench.query_gas --json     # the same as one JSON object, on the last line

Every figure is `gasUsed` of a whole real transaction on a fresh anvil (prague, chain id 1): 21,000 intrinsic, calldata
and storing the answer included. The asker's own affairs are not: questions have neither fee nor callback, unless the
name says so. Validators have equal powers, and the fewest that are more than two thirds sign. The state has `LEAVES`
leaves of about a hundred bytes, so that a proof has 11 siblings on average; of answers that stand alone the dearest of
ten counts. Contracts and accounts were used before.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Final

from adapters.evm import light_client
from adapters.evm.calls import encode_call, encode_creation
from adapters.evm.contracts.artifacts import load_artifact, selector_of
from adapters.evm.light_client import Argument
from bench.htlc_gas import Meter, opened_meter, raw, report
from core.proofs.cometbft import hashing, signing
from core.proofs.cometbft.types import (
    BlockId,
    Commit,
    Header,
    KeyKind,
    LightBlock,
    PartSetHeader,
    SignedHeader,
    Timestamp,
    Validator,
    ValidatorSet,
)
from local_chains.consortium.state.tree import Node, build, prove, root_hash

KIND: Final = KeyKind.SECP256K1_ETH
CHAIN_ID: Final = "devnet-1"
LEAVES: Final = 1_000
BATCH: Final = 10
VALIDATORS: Final = (4, 20)
POWER: Final = 10
FEE_WEI: Final = 10**9
CALLBACK_GAS: Final = 200_000
PERIOD_S: Final = 14 * 86_400
DRIFT_S: Final = 60
AGE_S: Final = 1_000
"""How long ago the chain's first block was."""
KNOWN_HEIGHT: Final = 3


@dataclass(frozen=True, slots=True)
class Consortium:
    """A chain of `size` validators whose every header commits to one state."""

    size: int
    start_s: int
    state: dict[bytes, bytes]
    tree: Node

    def block(self, height: int) -> LightBlock:
        secrets = {signing.public_key_of(KIND, secret).address: secret for secret in self._secrets()}
        members = ValidatorSet.of(
            [Validator(signing.public_key_of(KIND, secret), POWER) for secret in secrets.values()]
        )
        set_hash = hashing.validator_set_hash(members)
        filler = hashlib.sha256(b"%d" % height).digest()
        header = Header(
            chain_id=CHAIN_ID,
            height=height,
            time=Timestamp(self.start_s + height, 123_456_789),
            last_block_id=BlockId(filler, PartSetHeader(1, filler)),
            last_commit_hash=filler,
            data_hash=filler,
            validators_hash=set_hash,
            next_validators_hash=set_hash,
            consensus_hash=filler,
            app_hash=root_hash(self.tree),
            last_results_hash=filler,
            evidence_hash=filler,
            proposer_address=members.validators[0].address,
        )
        block_id = BlockId(hashing.header_hash(header), PartSetHeader(1, filler))
        signatures = tuple(
            signing.sign_precommit(
                KIND,
                secrets[member.address],
                CHAIN_ID,
                height,
                0,
                block_id,
                Timestamp(header.time.seconds, 987_654_321),
            )
            for member in members.validators
        )
        return LightBlock(SignedHeader(header, Commit(height, 0, block_id, signatures)), members)

    def _secrets(self) -> list[bytes]:
        return [hashlib.sha256(b"validator %d" % place).digest() for place in range(self.size)]


class Asking:
    """The contracts over one consortium chain, and their questions. Heights and keys are used in their order."""

    def __init__(self, meter: Meter, consortium: Consortium, client: str, queries: str, asker: str) -> None:
        self._meter = meter
        self.consortium = consortium
        self.client = client
        self.queries = queries
        self._asker = asker
        self._ids = 0
        self._keys = iter(consortium.state)
        self.ask_gas = 0

    async def answer(self, fee: int = 0, callback_gas: int = 0) -> Argument:
        """Ask for another key, and return its answer."""
        key = next(self._keys)
        self._ids += 1
        heights, deadline = (1, 1 << 20), int(time.time()) + PERIOD_S
        call = encode_call("testing/Asker", "ask", key, *heights, callback_gas, deadline)
        self.ask_gas = await self._meter.gas(self._meter.deployer, self._asker, call, fee)
        [selector] = [
            selector_of(entry) for entry in load_artifact("testing/Asker").abi if entry.get("name") == "onAnswer"
        ]
        question = light_client.question_of(raw(self._asker), key, heights, selector, callback_gas, deadline, fee)
        value, proof = self.consortium.state[key], prove(self.consortium.tree, key)
        return light_client.answer_argument(self._ids, question, value, proof)

    async def answers(self, count: int, fee: int = 0) -> list[Argument]:
        return [await self.answer(fee) for _ in range(count)]

    async def gas(self, to: str, data: bytes) -> int:
        return await self._meter.gas(self._meter.sender, to, data)


async def begin(meter: Meter, consortium: Consortium, gas: dict[str, int]) -> Asking:
    """Create the contracts, and use each call once."""
    size = consortium.size
    creation = light_client.light_client_creation(consortium.block(1), PERIOD_S, DRIFT_S)
    created = await meter.send(meter.deployer, None, creation)
    gas[f"deploy_light_client_{size}"] = int(created["gasUsed"], 16)
    client = created["contractAddress"]
    created = await meter.send(meter.deployer, None, light_client.queries_creation(raw(client)))
    gas["deploy_queries"] = int(created["gasUsed"], 16)
    queries = created["contractAddress"]
    created = await meter.send(meter.deployer, None, encode_creation("testing/Asker", raw(queries)))
    asking = Asking(meter, consortium, client, queries, created["contractAddress"])
    await asking.gas(client, light_client.update_call(consortium.block(2)))
    await asking.gas(queries, light_client.answer_call(2, [await asking.answer(FEE_WEI, CALLBACK_GAS)]))
    return asking


async def measure(meter: Meter) -> dict[str, int]:
    """Figures by name; `_4` and `_20` are numbers of validators."""
    gas: dict[str, int] = {}
    state = {
        b"records/charity/donation-%d" % i: hashlib.sha512(b"%d" % i).digest() + b"grain" * 8 for i in range(LEAVES)
    }
    start_s = int(time.time()) - AGE_S
    for size in VALIDATORS:
        consortium = Consortium(size, start_s, state, build(state))
        asking = await begin(meter, consortium, gas)
        members = consortium.block(1).validators
        gas[f"introduce_{size}"] = await asking.gas(asking.client, light_client.introduce_call(members))
        gas[f"update_{size}"] = await asking.gas(asking.client, light_client.update_call(consortium.block(3)))
        for name, fee, height in (
            (f"update_plus_answer_gas_{size}", 0, 4),
            (f"update_plus_paid_answer_{size}", FEE_WEI, 5),
        ):
            together = light_client.update_and_answer_call(consortium.block(height), await asking.answers(1, fee))
            gas[name] = await asking.gas(asking.queries, together)
        if size == VALIDATORS[0]:
            gas |= await measure_answers(asking)
    return gas


async def measure_answers(asking: Asking) -> dict[str, int]:
    """Answers under a header that is proven already."""

    async def used(answers: list[Argument]) -> int:
        return await asking.gas(asking.queries, light_client.answer_call(KNOWN_HEIGHT, answers)) // len(answers)

    return {
        "ask": asking.ask_gas,
        "further_answer_gas": max([await used([await asking.answer()]) for _ in range(BATCH)]),
        "batch10_answer_gas": await used(await asking.answers(BATCH)),
        "further_paid_answer": max([await used([await asking.answer(FEE_WEI)]) for _ in range(BATCH)]),
        "batch10_paid_answer": await used(await asking.answers(BATCH, FEE_WEI)),
        "further_paid_answer_with_callback": await used([await asking.answer(FEE_WEI, CALLBACK_GAS)]),
    }


async def run() -> dict[str, int]:
    """All figures on a chain of their own."""
    async with opened_meter() as meter:
        return await measure(meter)


if __name__ == "__main__":
    report("bench.query_gas", __doc__, run)
