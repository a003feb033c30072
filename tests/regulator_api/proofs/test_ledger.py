"""Answers about a running ledger: what they claim is proven by its state, and lists by their counted lengths."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest_asyncio
from typer.testing import CliRunner

from adapters.consortium.chain import ConsortiumChain
from core.model.consortium import transaction_hash
from core.model.questions import Anchor, TransactionAnswer
from core.model.types import Height, Seconds
from core.proofs.evidence import decode_evidence, encode_anchor, verify
from gateway.cli import app, queries  # noqa: F401 (registers the commands)
from local_chains.consortium.node import ConsortiumNode
from regulator_api.bundles import Ground
from tests.adapters.consortium.harness import CHAIN, CNYD
from tests.local_chains.consortium.officers import LI, WANG
from tests.local_chains.consortium.support import ANN
from tests.regulator_api.api import Api
from tests.regulator_api.proofs.documents import document_of, refusal, verified
from tests.regulator_api.test_evidence import Proven, a_leg_proven
from tests.regulator_api.test_orders import account, api, chain, node, order, post, submit
from tests.support import eventually

__all__ = ["api", "chain", "node"]  # fixtures
PROVEN = {
    # Every claim about the ledger; "rest": how many others there are, of a chain without a prover.
    "/v1/chains": 1,
    "/v1/swaps/swap-1": 1,
    "/v1/swaps?account={sender}": 2,
    "/v1/accounts/{sender}": 2,
    "/v1/accounts/{sender}/moves": 2,
    "/v1/transfers?chain={chain}": 4,
    "/v1/records": 1,
    "/v1/records?chain={chain}&namespace=notes": 2,
    "/v1/records/{chain}/notes/one": 5,
    "/v1/records/{chain}/notes/one?limit=1": 3,
    "/v1/assets?chain={chain}": 3,
    "/v1/assets/{cnyd}/supply": 1,
    "/v1/assets/{cnyd}/concentration": 2,
    "/v1/entities/bank/holdings": 2,
}


@pytest_asyncio.fixture
async def proven(tmp_path: Path) -> AsyncIterator[Proven]:
    async with a_leg_proven(tmp_path) as made:
        yield made


def ground_of(proven: Proven) -> Ground:
    anchor = Anchor(CHAIN, proven.genesis, Height(1), proven.genesis, Seconds(86_400))
    return Ground(anchor, int(proven.world.clock.now()))


async def asked(proven: Proven, path: str) -> bytes:
    names = {"sender": quote(proven.ours.sender, safe=""), "chain": quote(CHAIN), "cnyd": quote(CNYD, safe="")}
    path = path.format(**names)
    answer = await proven.api.ask(f"{path}{'&' if '?' in path else '?'}evidence=true", "developer")
    assert answer.status == 200, (path, answer.body)
    return answer.raw


async def test_claims_about_a_ledger_are_proven(proven: Proven) -> None:
    tag = {"account": proven.ours.sender, "label": "The Bank", "category": "exchange", "source": "t", "confidence": 9}
    body = tag | {"valid_from_s": 1, "entity": "bank"}
    assert (await proven.api.ask("/v1/tags", "librarian", method="POST", json=body)).status == 201
    ground = ground_of(proven)
    for path, count in PROVEN.items():
        raw = await asked(proven, path)
        claims = document_of(raw)["proof"]["claims"]
        shown = [one for one in claims if one["evidence"] is not None]
        assert len(shown) == count, (path, [one for one in claims if one["evidence"] is None])
        found = verified(raw, ground)
        assert f"{count} of its {len(claims)} claims about chains are proven" in found.shows
        assert str(CHAIN) in found.shows


async def test_no_proven_claim_can_be_changed(proven: Proven) -> None:
    ground = ground_of(proven)
    for path, at, value in (
        ("/v1/chains", "/items/0/finalized/hash", "00" * 32),
        ("/v1/swaps/swap-1", "/swap/participant/lock/status", "refunded"),
        ("/v1/swaps/swap-1", "/swap/participant/lock/terms/amount/base_units", "501"),
        ("/v1/accounts/{sender}", "/balances/0/amount/base_units", "1"),
        ("/v1/records/{chain}/notes/one", "/items/0/digest", "00" * 32),
        ("/v1/records/{chain}/notes/one", "/items/1/author", f"{CHAIN}:{'ab' * 20}"),
        ("/v1/records/{chain}/notes/one", "/items/1/placed/block/time_s", 1),
        ("/v1/records/{chain}/notes/one", "/items/1/placed/tx_hash", "ab" * 32),
        ("/v1/records/{chain}/notes/one", "/items/1/placed/block/height", 1),
        ("/v1/transfers?chain={chain}", "/items/0/amount/base_units", "1"),
        ("/v1/transfers?chain={chain}", "/items/1/receiver", f"{CHAIN}:{'ab' * 20}"),
        ("/v1/transfers?chain={chain}", "/items/2/sender", f"{CHAIN}:{'ab' * 20}"),
        ("/v1/transfers?chain={chain}", "/items/3/placed/block/hash", "00" * 32),
        ("/v1/accounts/{sender}/moves", "/items/1/amount/base_units", "1"),
        ("/v1/records?chain={chain}&namespace=notes", "/items", []),
        ("/v1/swaps?account={sender}", "/items", []),
        ("/v1/assets?chain={chain}", "/items/0/decimals", 18),
        ("/v1/assets/{cnyd}/concentration", "/top/0/amount/base_units", "7"),
        ("/v1/accounts/{sender}", "/account", f"{CHAIN}:{'ab' * 20}"),
    ):
        assert refusal(document_of(await asked(proven, path)), at, value, ground), (path, at)
    # A version that is left out is missed, even if the proof no longer speaks of it.
    short = document_of(await asked(proven, "/v1/records/{chain}/notes/one"))
    assert refusal(short, "/items", short["items"][1:], ground)


async def test_transaction_of_a_ledger_is_given_by_its_hash(proven: Proven) -> None:
    ground = ground_of(proven)
    path = f"/v1/records/{quote(CHAIN)}/notes/one"
    tx = (await proven.api.get(path))["items"][0]["placed"]["tx_hash"]
    file = await proven.api.ask(f"/v1/transfers/evidence?chain={quote(CHAIN)}&tx={tx}", "prover")
    assert file.status == 200, file.body
    answer = verify(decode_evidence(file.raw), ground.trusted, ground.now_s).answer
    assert isinstance(answer, TransactionAnswer)
    assert (answer.code, transaction_hash(answer.raw).hex()) == (0, tx.removeprefix("0x"))
    for more, status in (("&log=1", 422), (f"&tx={'ab' * 32}", 422)):
        assert (
            await proven.api.ask(f"/v1/transfers/evidence?chain={quote(CHAIN)}&tx={tx}{more}", "prover")
        ).status == status
    unknown = await proven.api.ask(f"/v1/transfers/evidence?chain={quote(CHAIN)}&tx={'ab' * 32}", "prover")
    assert unknown.status == 404


async def test_transaction_with_other_messages_is_for_the_unlimited(proven: Proven) -> None:
    tag = {"account": proven.ours.sender, "label": "x", "category": "exchange", "source": "t", "confidence": 9}
    body = tag | {"valid_from_s": 1, "jurisdiction": "CH"}
    assert (await proven.api.ask("/v1/tags", "librarian", method="POST", json=body)).status == 201
    # A grant is one of three messages of its transaction; a record's version stands alone in one.
    path = f"/v1/transfers?account={quote(proven.ours.sender, safe='')}"
    answer = await proven.api.ask(f"{path}&evidence=true", "spy")
    assert answer.status == 200, answer.body
    assert answer.body["items"]
    assert {one["evidence"] for one in answer.body["proof"]["claims"]} == {None}
    assert any("several messages" in one["reason"] for one in answer.body["proof"]["claims"])
    tx = answer.body["items"][0]["placed"]["tx_hash"]
    file = await proven.api.ask(f"/v1/transfers/evidence?chain={quote(CHAIN)}&tx={tx}", "spy")
    assert (file.status, "several messages" in file.body["detail"]) == (422, True)


async def test_verify_says_in_words_what_is_proven(proven: Proven, tmp_path: Path) -> None:
    ground = ground_of(proven)
    assert isinstance(ground.trusted, Anchor)
    answer, anchor = tmp_path / "answer.json", tmp_path / "anchor.json"
    anchor.write_bytes(encode_anchor(ground.trusted))
    raw = await asked(proven, "/v1/swaps/swap-1")
    answer.write_bytes(raw)
    command = ["verify", str(answer), "--anchor", str(anchor), "--now", str(ground.now_s), "--json"]
    shown = json.loads(CliRunner().invoke(app, command).stdout)
    assert shown["verified"] is True
    assert "1 of its 2 claims about chains are proven" in shown["what"]
    assert "no prover is configured" in shown["caution"]
    answer.write_bytes(raw.replace(b'"status":"claimed"', b'"status":"refunded"'))
    refused = CliRunner().invoke(app, command)
    assert (refused.exit_code, json.loads(refused.stdout)["verified"]) == (2, False)
    answer.write_bytes(raw)
    assert CliRunner().invoke(app, [*command[:2], "--anchor", str(answer)]).exit_code == 2
    assert CliRunner().invoke(app, [*command[:2], "--anchor", str(tmp_path / "none.json")]).exit_code == 1


async def test_evidence_is_as_of_the_answers_block(proven: Proven) -> None:
    before = (await proven.api.get(f"/v1/records/{quote(CHAIN)}/notes/one"))["items"][1]["placed"]["block"]["height"]
    raw = await asked(proven, f"/v1/records/{{chain}}/notes/one?as_of={CHAIN}@{before}")
    document = document_of(raw)
    assert [one["version"] for one in document["items"]] == [1]
    assert [one["evidence"] is not None for one in document["proof"]["claims"]] == [True, True, True]
    assert {one["as_of"]["height"] for one in document["proof"]["evidence"][:1]} == {before}
    assert f"as of the blocks {CHAIN} {before}" in verified(raw, ground_of(proven)).shows


async def test_orders_and_holds_are_proven(api: Api, node: ConsortiumNode, chain: ConsortiumChain) -> None:
    await submit(node, LI, await order(api, chain))
    await submit(node, WANG, await post(api, "/v1/orders/1/approval", officer=account(WANG)))

    async def is_indexed() -> bool:
        return len((await api.get(f"/v1/holds/{account(ANN)}/history"))["items"]) == 2

    await eventually(is_indexed)
    changes = {
        f"/v1/holds/{account(ANN)}": ("/until", 1),
        f"/v1/holds/{account(ANN)}/history": ("/items/0/officer", account(LI)),
        "/v1/orders/1": ("/reason", "none"),
        "/v1/orders": ("/count", 2),
    }
    for path, (at, value) in changes.items():

        async def is_proven(path: str = path) -> bool:
            # A state is proven by the header of the next block.
            answer = await api.ask(f"{path}?evidence=true", "developer")
            assert answer.status == 200, answer.body
            claims = answer.body["proof"]["claims"]
            return bool(claims) and all(one["evidence"] is not None for one in claims)

        await eventually(is_proven)
        raw = (await api.ask(f"{path}?evidence=true", "developer")).raw
        document = document_of(raw)
        times = [one["as_of"]["time"] for one in document["proof"]["evidence"]]
        ground = Ground(await chain.prover.anchor(), max(times) + 5)
        assert verified(raw, ground).caution == ""
        assert refusal(document, at, value, ground), path
        if path.endswith("/history"):
            assert len(document["proof"]["claims"]) == 4
            assert refusal(document, "/items/1/placed/tx_hash", document["items"][0]["placed"]["tx_hash"], ground)
            assert refusal(document, "/items/0/placed/block/hash", "00" * 32, ground)
