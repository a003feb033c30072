"""The fifth story: answers from both chains, each with its proof, verified offline by a process of its own; and a
question of the ledger that a relayer answers."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from adapters.consortium.messages import unsigned, write_record
from adapters.registry import joined_prover
from core.model.consortium import AskQuery, QueryLeaf, asset_symbol, decode_leaf, quantity, record_key
from core.model.errors import RetryableError
from core.model.facts import LockStatus
from core.model.identifiers import parse_account, parse_asset
from core.model.questions import (
    MAX_LIST_ENTRIES,
    BalanceQuestion,
    Evidence,
    ListAnswer,
    ListQuestion,
    LockAnswer,
    LockQuestion,
    RecordAnswer,
    RecordQuestion,
)
from core.model.types import LockId
from core.model.uris import print_uri
from core.proofs.evidence.codec import decode_anchor, encode_evidence
from gateway.demo.stage import LOOK_S, PATIENCE_S, Stage
from gateway.demo.stories import ETHER_FOR_YUAN, HONEST
from gateway.devnet.asking import DevnetAsker
from gateway.sending import send
from relayer.client import LocalProver, ProvenQueries, SwapStep

STORY: Final = "proofs"
ASKED: Final = "question"
ASKER: Final = "frank"
"""Who locks, and writes and asks by hand: one after the other, since all of it takes sequences of the same accounts."""
ASKED_FOR_S: Final = 600
ASKED_FEE: Final = 5
"""In base units of the ledger's asset."""
NAMESPACE: Final = "provenance"
KEY: Final = "tea-2026-0417"
DOCUMENT: Final = {"batch": "2026-0417", "farm": "Xihu", "harvested": "2026-04-05", "kilograms": 120}


async def proven_answers(stage: Stage, directory: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Evidence about a record and about a lock: written to files, verified, tampered with, rejected. And a question of
    the ledger itself, answered by a relayer."""

    lock, record = await _lock(stage, directory), await _record(stage, directory)
    return [record, lock], {"ledger": await _ledger_asks(stage), "contract": await _contract_asks(stage)}


async def _record(stage: Stage, directory: Path) -> dict[str, Any]:
    info = stage.devnet.info
    connected = stage.chains[info.consortium]
    signer = connected.signer(bytes.fromhex(info.user(ASKER).consortium))
    document = json.dumps(DOCUMENT, sort_keys=True, separators=(",", ":")).encode()
    access, transaction = connected.access, write_record(signer.account, NAMESPACE, KEY, document)
    height = await send(access.transactions, access.heads, signer, transaction)
    stage.timeline.show(STORY, f"{ASKER} has written the record {NAMESPACE}/{KEY}, block {height}")
    question = RecordQuestion(info.consortium, NAMESPACE, KEY)
    evidence = await _queries(stage).ask(question, height)

    def forge(answer: Any) -> Any:
        assert isinstance(answer, RecordAnswer)
        return replace(answer, document=answer.document.replace(b'"kilograms":120', b'"kilograms":920'))

    return await _verified_offline(stage, evidence, directory / "record.evidence.json", forge)


async def _ledger_asks(stage: Stage) -> dict[str, Any]:
    """The ledger asks for a token balance on Ethereum; a relayer answers, and the ledger verifies the proof itself."""
    info = stage.devnet.info
    connected, user = stage.chains[info.consortium], info.user(ASKER)
    signer = connected.signer(bytes.fromhex(user.consortium))
    holder, token = parse_account(user.ethereum_account), parse_asset(info.token)
    uri = print_uri(BalanceQuestion(info.ethereum, holder, token))
    now = (await connected.access.heads.head()).head.time.seconds
    symbol = asset_symbol(parse_asset(info.yuan))
    message = AskQuery(uri, 0, 2**63 - 1, now + ASKED_FOR_S, symbol, quantity(ASKED_FEE))
    transaction = unsigned(info.consortium, signer.account, (message,), "ask for a balance on Ethereum")
    height = await send(connected.access.transactions, connected.access.heads, signer, transaction)
    stage.timeline.show(ASKED, f"the ledger asks for {uri[:60]}…, block {height}")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            leaf, evidence = await _asked(stage, uri)
            if leaf is not None and leaf.status == "answered":
                break
            await asyncio.sleep(LOOK_S)
    answer = json.loads(leaf.answer)
    amount = stage.amount(info.token, int(answer["amount"]))
    stage.timeline.show(ASKED, f"a relayer proved {amount} as of block {leaf.height}; the ledger verified it itself")
    return {"uri": uri, "status": leaf.status, "answer": answer, "as_of": evidence.as_of.block.height}


async def _contract_asks(stage: Stage) -> dict[str, Any]:
    """A contract on Ethereum asks for the record; a relayer answers, and the contract verifies the proof itself."""
    stage.timeline.show(ASKED, "a contract on Ethereum asks for a record of the ledger")
    pushed = await DevnetAsker(stage.devnet.info, stage.chains, ASKER).contract(record_key(NAMESPACE, KEY, 1))
    heard = b'"farm":"Xihu"' in pushed.answer
    stage.timeline.show(
        ASKED, f"its callback got the record, proven under header {pushed.height} by its own light client"
    )
    return {"heard": heard, "header": pushed.height, "blocks": pushed.blocks}


async def _asked(stage: Stage, uri: str) -> tuple[QueryLeaf | None, Evidence]:
    """The question as the ledger's own proven state has it, None before it is there."""
    consortium = stage.devnet.info.consortium
    evidence = await _queries(stage).ask(ListQuestion(consortium, "queries", 1, MAX_LIST_ENTRIES))
    assert isinstance(evidence.answer, ListAnswer)
    leaves = [decode_leaf(entry, QueryLeaf) for entry in evidence.answer.entries]
    return next((one for one in leaves if one.uri == uri), None), evidence


async def _lock(stage: Stage, directory: Path) -> dict[str, Any]:
    """A lock on Ethereum, asked about while it is open, under a header that the consortium attested as final."""
    info = stage.devnet.info
    async with stage.client(ASKER, HONEST, STORY) as client:
        quote = await client.quote(parse_asset(info.ether), parse_asset(info.yuan), initiator_amount=ETHER_FOR_YUAN)
        swap = await client.open(quote)
        await client.lock(swap)
        locked = await client.until(swap, SwapStep.LOCK_FINAL)
        state = await client.state(swap)
        assert locked.height is not None
        assert state.initiator_leg.lock_id is not None
        terms, lock_id = swap.agreement.initiator_leg, LockId(state.initiator_leg.lock_id)
        holder = stage.chains[info.ethereum].access.parameters.htlc_holder
        question = LockQuestion(info.ethereum, lock_id, terms, holder)
        evidence = await _attested_after(stage, question, locked.height)
        await client.run(swap)
    assert isinstance(evidence.answer, LockAnswer)
    stage.timeline.show(
        STORY,
        f"a lock on Ethereum is proven {evidence.answer.status} at block {evidence.as_of.block.height}, attested by "
        "more than ⅔ of the validators",
    )

    def forge(answer: Any) -> Any:
        other = LockStatus.REFUNDED if answer.status is not LockStatus.REFUNDED else LockStatus.CLAIMED
        return replace(answer, status=other)

    return await _verified_offline(stage, evidence, directory / "lock.evidence.json", forge)


async def _attested_after(stage: Stage, question: LockQuestion, height: int) -> Evidence:
    """Evidence as of a block that is not older than `height`: validators attest every few seconds."""
    queries = _queries(stage)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            evidence = await queries.ask(question)
            if evidence.as_of.block.height >= height:
                return evidence
            await asyncio.sleep(LOOK_S)


def _queries(stage: Stage) -> ProvenQueries:
    anchor = decode_anchor(Path(stage.devnet.info.anchor).read_bytes())
    return ProvenQueries(LocalProver(joined_prover(stage.chains, stage.devnet.info.consortium)), anchor)


async def _verified_offline(
    stage: Stage, evidence: Evidence, file: Path, forge: Callable[[Any], Any]
) -> dict[str, Any]:
    await asyncio.to_thread(file.write_bytes, encode_evidence(evidence))
    # The forger repairs the file's checksum: what refuses the copy is the proof.
    tampered = file.with_name(file.name.replace(".evidence", ".tampered"))
    forged = replace(evidence, answer=forge(evidence.answer))
    await asyncio.to_thread(tampered.write_bytes, encode_evidence(forged))
    anchor = stage.devnet.info.anchor
    good, bad = await asyncio.gather(_verify(file, anchor), _verify(tampered, anchor))
    stage.timeline.show(STORY, f"{file.name}: another process, offline, says {_word(good)}", "bold green")
    stage.timeline.show(STORY, f"{tampered.name}: it says {_word(bad)}", "bold green")
    return {
        "file": str(file),
        "verified": bool(good.get("verified")),
        "tampered_rejected": bad.get("verified") is False and bool(bad.get("reason")),
    }


def _word(verdict: dict[str, Any]) -> str:
    return "proven" if verdict.get("verified") else f"not proven ({verdict.get('reason')})"


async def _verify(file: Path, anchor: str) -> dict[str, Any]:
    """`causeway verify` as a process of its own. Its JSON, whatever its exit code."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "verify",
        str(file),
        "--anchor",
        anchor,
        "--json",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    try:
        return dict(json.loads(out))
    except ValueError:
        raise RetryableError(f"causeway verify said nothing readable: {err.decode(errors='replace')[-500:]}") from None
