"""Evidence of a swap's leg on a real node of our ledger, out of the API and verified with nothing but an anchor."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from adapters.consortium import unsigned
from core.model.consortium import WriteRecord
from core.model.facts import LockStatus
from core.model.questions import Anchor, BalanceAnswer, ListAnswer, LockAnswer, LockQuestion
from core.model.types import BaseUnits, ChainTime, Height, LockId, LockTerms, Preimage, Seconds, SwapId
from core.proofs.errors import ProofError
from core.proofs.evidence import decode_evidence, verify
from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from indexer.feed import FactSignal
from indexer.follower import Follower
from indexer.projections import ReportedAgreement, report_agreement
from regulator_api.service import SupervisedChain
from tests.adapters.consortium.harness import CHAIN, CNYD, running
from tests.indexer.world import A, World
from tests.regulator_api.api import Api, prepare, serving


@dataclass(frozen=True, slots=True)
class Proven:
    """A supervision API that can prove one leg, and what it is about."""

    api: Api
    world: World
    ours: LockTerms
    lock_id: LockId
    genesis: bytes


@asynccontextmanager
async def a_leg_proven(folder: Path) -> AsyncIterator[Proven]:
    """The swap `swap-1`, whose participant's leg is claimed on a real ledger, and a record of two versions."""
    database = open_database(f"sqlite:///{folder}/supervision.sqlite")
    await prepare(database)
    async with running(folder / "chain") as ledger:
        world = World(database, ManualClock())
        sender, receiver = await ledger.account(), await ledger.account()
        preimage = Preimage(b"\7" * 32)
        head = (await ledger.access.heads.head()).head
        ours = LockTerms(
            CNYD,
            BaseUnits(500),
            sender.account,
            receiver.account,
            preimage.hashlock(),
            head.time.plus(Seconds(1_000)),
        )
        theirs = LockTerms(
            world.deal().initiator.asset,
            BaseUnits(10**18),
            world.initiator[A].account,
            world.participant[A].account,
            preimage.hashlock(),
            ChainTime(A, head.time.seconds + 2_000),
        )
        await world.lock(theirs)
        legs = ledger.access.legs
        lock_id = await legs.lock_id(ours)
        await ledger.send(sender, legs.lock(ours, lock_id))
        await ledger.send(receiver, legs.claim(ours, lock_id, preimage, receiver.account))
        for number in (1, 2):
            version = WriteRecord("notes", "one", b'{"n":%d}' % number)
            await ledger.send(sender, unsigned(CHAIN, sender.account, (version,), "write"))
        await ledger.advance(2)
        access = ledger.access
        for source in (access, world.access(A)):
            follower = Follower(
                source.parameters, source.heads, source.blocks, database, FactSignal(), world.clock, Height(1)
            )
            await follower.open()
            await follower.catch_up(await source.heads.head())
        await ledger.advance()  # the header that proves the newest block that is indexed
        agreement = ReportedAgreement(SwapId("swap-1"), theirs, ours, "relayer-1")
        await database.write(lambda c: report_agreement(c, agreement, world.clock.now_ns()))
        chains = [
            SupervisedChain(access.parameters, ledger.chain.prover, access.state),
            SupervisedChain(world.access(A).parameters),
        ]
        async with serving(database, chains, world.clock) as api:
            genesis = (await access.blocks.header(Height(1))).ref.hash
            yield Proven(api, world, ours, lock_id, genesis)
    await database.close()


async def test_evidence_of_a_leg_is_verified_offline(tmp_path: Path) -> None:
    async with a_leg_proven(tmp_path) as proven:
        api = proven.api
        assert (await api.get("/v1/swaps/swap-1"))["swap"]["status"] == "revealed"
        document = await api.get("/v1/swaps/swap-1/evidence", "prover")
        file = (await api.ask("/v1/swaps/swap-1/evidence?leg=participant", "prover")).raw
    assert document["complete"] is False
    initiator, participant = document["legs"]
    assert (initiator["evidence"], initiator["problem"]) == (None, "rejected")
    assert participant["problem"] is None
    # Nothing but the file, the anchor and the time is left.
    anchor = Anchor(CHAIN, proven.genesis, Height(1), proven.genesis, Seconds(86_400))
    now_s = int(proven.world.clock.now())
    assert json.loads(file)["question"] == participant["evidence"]["question"]
    evidence = decode_evidence(file)
    verified = verify(evidence, anchor, now_s)
    assert evidence.question == LockQuestion(CHAIN, proven.lock_id, proven.ours, None)
    assert isinstance(verified.answer, LockAnswer)
    assert (verified.answer.status, verified.answer.terms_match) == (LockStatus.CLAIMED, True)
    with pytest.raises(ProofError):
        verify(decode_evidence(file.replace(b"claimed", b"refunded")), anchor, now_s)


async def test_balances_and_whole_lists_are_proven(tmp_path: Path) -> None:
    async with a_leg_proven(tmp_path) as proven:
        api, ours = proven.api, proven.ours
        account = f"/v1/accounts/{ours.sender}"
        asset = quote(CNYD, safe="")
        balance = (await api.ask(f"{account}/evidence?asset={asset}", "prover")).raw
        locks = (await api.ask(f"{account}/locks/evidence?last=10", "prover")).raw
        nobody = await api.ask(f"/v1/accounts/{CHAIN}:{'ab' * 20}/evidence?asset={asset}", "prover")
        elsewhere = await api.ask(f"/v1/accounts/{proven.world.initiator[A].account}/locks/evidence", "prover")
        unscoped = await api.ask(f"{account}/evidence?asset={asset}", "inspector")
        balances = (await api.get(account))["balances"]
    assert (nobody.status, elsewhere.status, unscoped.status) == (404, 422, 403)
    anchor = Anchor(CHAIN, proven.genesis, Height(1), proven.genesis, Seconds(86_400))
    now_s = int(proven.world.clock.now())
    proven_balance = verify(decode_evidence(balance), anchor, now_s).answer
    assert isinstance(proven_balance, BalanceAnswer)
    held = {one["amount"]["asset"]: one["amount"]["base_units"] for one in balances}
    assert str(proven_balance.amount) == held[CNYD]
    # The whole list of locks: one, under this hashlock, and none is missing.
    whole = verify(decode_evidence(locks), anchor, now_s).answer
    assert isinstance(whole, ListAnswer)
    assert (whole.count, whole.entries) == (1, (ours.hashlock,))
