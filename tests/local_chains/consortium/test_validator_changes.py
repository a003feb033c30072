"""Changes of the validator set on the embedded engine: CometBFT's delay of two heights, across restarts."""

from pathlib import Path

import pytest

from core.model.consortium import ResultCode
from core.model.consortium_members import Organisation, Propose, Vote
from core.model.errors import FatalError
from core.proofs.cometbft import hashing
from core.proofs.cometbft.json import block_from_json, commit_from_json
from core.proofs.cometbft.light_client import LightClientPolicy, trust, update_trusted
from core.proofs.cometbft.types import BlockId, BlockIdFlag, KeyKind, LightBlock, SignedHeader, Timestamp
from core.runtime.clock import ManualClock
from local_chains.consortium.engine.embedded import EmbeddedEngine, open_engine
from local_chains.consortium.engine.home import ValidatorKey, consensus_key_document, init_home, write_secret
from local_chains.consortium.engine.rendering import decode
from local_chains.consortium.ledger.leaves import read_account
from tests.local_chains.consortium.support import (
    ACCOUNTS,
    ASSETS,
    BEN,
    CHAIN,
    START_S,
    operators_of,
    replayed_app_hash,
)

POLICY = LightClientPolicy(trusting_period_ns=10**18, max_clock_drift_ns=10**10)
NOW = Timestamp(START_S + 10**6)
FIFTH_SECRET = b"\x05" * 32
KINDS = pytest.mark.parametrize("kind", list(KeyKind))


def make_home(path: Path, kind: KeyKind) -> Path:
    init_home(path / "chain", CHAIN, 4, kind, ASSETS, ACCOUNTS, time_ns=START_S * 10**9)
    return path / "chain"


def add_key(home: Path, kind: KeyKind) -> None:
    (home / "validators/4").mkdir()
    write_secret(
        home / "validators/4/priv_validator_key.json", consensus_key_document(ValidatorKey(kind, FIFTH_SECRET))
    )


def fifth(kind: KeyKind, power: int = 10) -> Organisation:
    key = ValidatorKey(kind, FIFTH_SECRET).public_key
    return Organisation("fifth", BEN.address, ("validator",), kind.value, key.data, power)


def decide(engine: EmbeddedEngine, home: Path, number: int, terms: Organisation, voters: int = 3) -> None:
    """Put proposal `number` and the votes that carry it into the next block."""
    for index, actor in enumerate(operators_of(home)[:voters]):
        message = Vote(number, True) if index else Propose(terms)
        sequence = read_account(engine.state, actor.address).sequence
        assert engine.submit(actor.signed(sequence, message)).code is ResultCode.OK


async def light_block(engine: EmbeddedEngine, height: int) -> LightBlock:
    stored = await engine.store.block(height)
    validators, following = await engine.validators(height), await engine.validators(height + 1)
    assert stored is not None
    assert validators is not None
    header = block_from_json(decode(stored.block)["block"]).header
    return LightBlock(SignedHeader(header, commit_from_json(decode(stored.commit))), validators, following)


@KINDS
async def test_a_change_takes_effect_two_heights_later(tmp_path: Path, kind: KeyKind) -> None:
    home = make_home(tmp_path, kind)
    add_key(home, kind)
    clock = ManualClock(START_S + 1)
    engine = await open_engine(home, clock)
    await engine.produce_block()
    decide(engine, home, 1, fifth(kind))
    for _ in range(6):
        await clock.advance(1)
        await engine.produce_block()
    lights = {height: await light_block(engine, height) for height in range(1, 7)}
    assert [len(lights[height].validators) for height in range(1, 7)] == [4, 4, 4, 5, 5, 5]
    old, new = (hashing.validator_set_hash(lights[height].validators) for height in (1, 6))
    assert [lights[height].header.validators_hash for height in range(1, 7)] == [old] * 3 + [new] * 3
    assert [lights[height].header.next_validators_hash for height in range(1, 7)] == [old] * 2 + [new] * 4
    signed = [entry.flag is BlockIdFlag.COMMIT for entry in lights[4].commit.signatures]
    assert signed == [True] * 5
    by_each = trust(lights[1])
    for height in range(2, 7):
        by_each = update_trusted(by_each, lights[height], NOW, POLICY)
    assert update_trusted(trust(lights[1]), lights[6], NOW, POLICY).header == by_each.header
    await replayed_app_hash(engine)
    await engine.close()


@KINDS
async def test_a_restart_between_decision_and_effect_changes_nothing(tmp_path: Path, kind: KeyKind) -> None:
    """One engine runs through, the other is reopened before every block: both make the same blocks."""
    home = make_home(tmp_path, kind)
    add_key(home, kind)
    found: list[list[BlockId]] = []
    for restarts in (False, True):
        if restarts:
            (home / "data").rename(tmp_path / "of the first")
        clock = ManualClock(START_S + 1)
        engine = await open_engine(home, clock)
        made = []
        for height in range(1, 12):
            if height == 2:
                decide(engine, home, 1, fifth(kind, 13))
            if height == 5:
                left = engine.genesis.app_state.operators[3]
                decide(engine, home, 2, Organisation(left.name, operators_of(home)[3].address, ()), voters=4)
            await clock.advance(1)
            made.append((await engine.produce_block()).block_id)
            if restarts:
                await engine.close()
                engine = await open_engine(home, clock)
        found.append(made)
        assert len(engine.tip.validators) == 4
        assert engine.tip.validators.total_power == 43
        await engine.close()
    assert found[0] == found[1]


async def test_chain_waits_for_the_keys_of_new_validators(tmp_path: Path) -> None:
    kind = KeyKind.SECP256K1_ETH
    home = make_home(tmp_path, kind)
    clock = ManualClock(START_S + 1)
    engine = await open_engine(home, clock)
    # In two steps, since one adds at most a third of the power.
    for number, power, voters in ((1, 13, 3), (2, 20, 4)):
        decide(engine, home, number, fifth(kind, power), voters)
        for _ in range(2):
            await clock.advance(1)
            await engine.produce_block()
    await clock.advance(1)
    with pytest.raises(FatalError, match="keys"):
        await engine.produce_block()
    await engine.close()
    add_key(home, kind)
    engine = await open_engine(home, clock)
    made = await engine.produce_block()
    assert made.height == 5
    assert len(made.commit.signatures) == 5
    await engine.close()
