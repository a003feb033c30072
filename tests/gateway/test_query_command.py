"""`causeway query` over a running chain: asked of a relayer, waited for, followed, and attacked."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from adapters.consortium.prover import ConsortiumProver
from adapters.consortium.rpc import CometRpc
from core.model.consortium import CLOCK_KEY
from core.model.errors import RejectedError, RetryableError
from core.model.questions import Evidence, Question, RecordAnswer
from core.model.types import ChainId, Height
from core.proofs.evidence import decode_evidence, encode_anchor
from gateway.anchors import fetch_anchor
from gateway.cli import app, queries  # noqa: F401 (registers the command)
from relayer.api import query_bodies
from tests.gateway.test_anchors import FIRST, chain
from tests.relayer.api.test_queries import serving

CLOCK = f"causeway:test-1/state/{CLOCK_KEY.hex()}"
"""A leaf that every block changes."""
ABSENT = "causeway:test-1/records/charity/nothing"
PATIENCE_S = 120


class ClosedRpc(CometRpc):
    aclose = CometRpc.close


@dataclass
class Asked:
    """A relayer over a chain, and the anchor of whoever asks it."""

    url: str
    anchor: Path
    prover: ConsortiumProver
    tip: Callable[[], int]

    def words(self, *words: str) -> list[str]:
        return ["query", *words, "--relayer", self.url, "--anchor", str(self.anchor)]

    async def asks(self, *words: str) -> Any:
        return await asyncio.to_thread(CliRunner(env={"COLUMNS": "100"}).invoke, app, self.words(*words))

    async def says(self, *words: str) -> tuple[int, Any]:
        """Exit code and JSON."""
        found = await self.asks(*words, "--json")
        return found.exit_code, json.loads(found.stdout)


@pytest_asyncio.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    async with chain(tmp_path / "home", "test-1") as node, aclosing(ClosedRpc(node.rpc_url)) as rpc:
        anchor = await fetch_anchor([node.rpc_url], FIRST)
        file = tmp_path / "anchor.json"
        file.write_bytes(encode_anchor(anchor))
        prover = ConsortiumProver(rpc, anchor.chain, anchor.genesis_hash, FIRST)
        async with serving(prover) as url:
            yield Asked(url, file, prover, lambda: node.engine.tip.height)


async def test_height_that_comes_later_is_waited_for(asked: Asked, tmp_path: Path) -> None:
    """Longer than one call lasts, with every answer in its place and in the file."""
    height, file = asked.tip() + 30, tmp_path / "answers.json"
    uris = [f"{CLOCK}?at={height}", f"{ABSENT}?at={height}", f"{CLOCK}?at={height}"]
    code, said = await asked.says(*uris, "--wait-s", "100", "--out", str(file))
    assert (code, said["verified"]) == (0, True)
    assert [one["uri"] for one in said["answers"]] == [CLOCK, ABSENT, CLOCK]
    assert {one["as_of"]["height"] for one in said["answers"]} == {height}
    assert [decode_evidence(line).as_of.block.height for line in file.read_bytes().splitlines()] == [height] * 3


async def test_question_that_cannot_be_answered_in_time_says_why(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_bodies, "MAX_WAIT_S", 0)
    code, said = await asked.says(f"{CLOCK}?at=100000", f"{ABSENT}?at=100000", "--wait-s", "2")
    assert (code, said["verified"]) == (2, False)
    assert all("can be proven up to height" in one["reason"] for one in said["answers"])


async def test_followed_answers_come_as_lines_until_interrupted(asked: Asked, tmp_path: Path) -> None:
    file = tmp_path / "answers.json"
    words = asked.words(CLOCK, ABSENT, "--follow", "--json", "--out", str(file))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    said: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while len([one for one in said if one["uri"] == CLOCK]) < 4:
            said.append(json.loads(await process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        await process.communicate()
    assert process.returncode == 0
    assert all(one["verified"] for one in said)
    assert len([one for one in said if one["uri"] == ABSENT]) == 1
    heights = [one["as_of"]["height"] for one in said if one["uri"] == CLOCK]
    assert heights == sorted(set(heights))
    assert len(file.read_bytes().splitlines()) >= len(said)


async def test_answer_is_shown_with_its_whole_question(asked: Asked) -> None:
    """An address that is cut could be any other."""
    found = await asked.asks(CLOCK, ABSENT)
    assert found.exit_code == 0
    assert CLOCK in "".join(line.strip("│ ").removeprefix("asked   │ ") for line in found.stdout.splitlines())
    assert "2 of 2 answers are proven" in found.stdout


# --- liars -------------------------------------------------------------------------------------------------------


class Forger:
    """A prover that changes what an honest one answers."""

    def __init__(self, prover: ConsortiumProver, change: Any) -> None:
        self._prover = prover
        self._change = change

    async def prove(self, question: Question, at: Height | None = None, *, trusted: Height | None = None) -> Evidence:
        found: Evidence = await self._change(self._prover, question, at, trusted)
        return found


async def forged(prover: ConsortiumProver, question: Question, at: Any, trusted: Any) -> Evidence:
    return replace(await prover.prove(question, at, trusted=trusted), answer=RecordAnswer(0, None, b""))


async def old(prover: ConsortiumProver, question: Question, at: Any, trusted: Any) -> Evidence:
    return await prover.prove(question, Height(2), trusted=trusted)


async def of_another_chain(prover: ConsortiumProver, question: Question, at: Any, trusted: Any) -> Evidence:
    found = await prover.prove(question, at, trusted=trusted)
    other = ChainId("causeway:test-2")
    return replace(found, as_of=replace(found.as_of, block=replace(found.as_of.block, chain=other)))


async def cut(prover: ConsortiumProver, question: Question, at: Any, trusted: Any) -> Evidence:
    found = await prover.prove(question, at, trusted=trusted)
    proof = json.loads(found.proof)
    proof["entries"] = proof["entries"][:-1]
    return replace(found, proof=json.dumps(proof, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize("change", [forged, old, of_another_chain, cut], ids=lambda one: str(one.__name__))
async def test_lying_relayer_proves_nothing(asked: Asked, change: Any) -> None:
    """In one call and in time."""
    async with serving(Forger(asked.prover, change)) as url:
        liar = replace(asked, url=url)
        for wait in ("1", "30"):
            code, said = await liar.says(CLOCK, "--wait-s", wait, "--max-age-s", "0" if change is old else "3600")
            assert (code, said["verified"]) == (2, False), said
            assert said["reason"]


async def test_file_that_is_not_an_anchor_is_named(asked: Asked) -> None:
    asked.anchor.write_bytes(b"{}")
    found = await asked.asks(CLOCK)
    assert isinstance(found.exception, RejectedError)
    assert f"{asked.anchor} is not an anchor" in found.exception.message


async def test_anchor_of_another_chain_takes_no_answer(asked: Asked, tmp_path: Path) -> None:
    async with chain(tmp_path / "other", "test-1") as other:
        anchor = await fetch_anchor([other.rpc_url], FIRST)
    asked.anchor.write_bytes(encode_anchor(anchor))
    code, said = await asked.says(CLOCK)
    assert (code, said["verified"]) == (2, False)


async def test_relayer_that_is_away_is_tried_again_later(asked: Asked) -> None:
    away = replace(asked, url="http://127.0.0.1:9")
    for words in ((CLOCK,), (CLOCK, "--follow"), (CLOCK, "--wait-s", "30")):
        found = await away.asks(*words)
        assert isinstance(found.exception, RetryableError)
        assert "does not answer" in found.exception.message
