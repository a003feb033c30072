"""Answers about Ethereum, whose blocks the operators of a ledger attest: anvil and our ledger run."""

from pathlib import Path
from urllib.parse import quote

from adapters.conformance.harness import lock
from core.model.types import Height
from core.runtime.clock import ManualClock
from core.runtime.database import open_database
from indexer.feed import FactSignal
from indexer.follower import Follower
from regulator_api.bundles import Ground
from regulator_api.service import SupervisedChain
from tests.adapters.evidence.both import both_running
from tests.adapters.evm.harness import CHAIN
from tests.regulator_api.api import prepare, serving
from tests.regulator_api.proofs.documents import document_of, refusal, verified


async def test_claims_about_ethereum_are_proven(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/index.sqlite")
    await prepare(database)
    clock = ManualClock()
    async with both_running(tmp_path / "chain") as both:
        access = both.evm.access
        leg = await lock(both.evm)
        header = await both.attest_final()
        follower = Follower(access.parameters, access.heads, access.blocks, database, FactSignal(), clock, Height(0))
        await follower.open()
        await follower.catch_up(await access.heads.head())
        supervised = SupervisedChain(access.parameters, both.prover(), access.state)
        ground = Ground(await both.ledger.chain.prover.anchor(), both.now_s())
        at, token = f"as_of={CHAIN}@{header.height}", quote(both.evm.assets[1], safe="")
        ether = quote(both.evm.assets[0], safe="")
        async with serving(database, [supervised], clock) as api:
            for path, place, value in (
                ("/v1/chains?", "/items/0/finalized/hash", "0x" + "00" * 32),
                (f"/v1/transfers?{at}&asset={token}", "/items/0/amount/base_units", "1"),
                (f"/v1/swaps?{at}", "/items/0/others/0/status", "refunded"),
                (f"/v1/contracts?{at}", "/items/0/contract", f"{CHAIN}:0x{'12' * 20}"),
                (f"/v1/assets/{ether}/conservation?{at}", "/holder_balance", "10"),
            ):
                answer = await api.ask(f"{path}{'' if path.endswith('?') else '&'}evidence=true", "prover")
                assert answer.status == 200, (path, answer.body)
                document = document_of(answer.raw)
                claims = document["proof"]["claims"]
                assert claims
                assert [one["reason"] for one in claims if one["evidence"] is None] == [], path
                found = verified(answer.raw, ground)
                assert f"{len(claims)} of its {len(claims)} claims about chains are proven" in found.shows
                assert refusal(document, place, value, ground), path
            swaps = (await api.ask(f"/v1/swaps?{at}&evidence=true", "prover")).raw
        assert document_of(swaps)["items"][0]["others"][0]["lock_id"] == leg.lock_id
        kept = f"locks of {CHAIN} are kept by {access.parameters.htlc_holder}"
        assert kept in verified(swaps, ground).shows
    await database.close()
