"""The verifier in JavaScript, held against the one in Python: the same verdict on every file, right and tampered."""

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from core.model.beacon import BeaconAnchor
from core.model.consortium import LISTS
from core.model.errors import RejectedError
from core.model.questions import Anchor, ListQuestion, RecordQuestion
from core.model.types import ChainId, Height, Seconds
from core.proofs import lanes
from core.proofs.cometbft.types import KeyKind
from core.proofs.errors import ProofError
from core.proofs.ethereum import header_hash as block_hash
from core.proofs.evidence import (
    SyncProof,
    canonical,
    consortium_evidence,
    decode_evidence,
    decode_trusted,
    encode_anchor,
    encode_beacon_anchor,
    encode_evidence,
    ethereum_evidence,
    installed_verifiers,
    joined_anchors,
    verify,
)
from core.proofs.evidence.codec import as_of_to_json
from core.proofs.evidence.forms import answer_to_json
from core.proofs.evidence.layouts import encode_layouts
from tests.core.proofs import synced as vouched
from tests.core.proofs import test_ethereum_evidence as ethereum
from tests.core.proofs import test_question_evidence as questions
from tests.core.proofs import test_synced_evidence as synced
from tests.core.proofs import test_transaction_evidence as transactions
from tests.core.proofs.forgery import ODD_VALUES, flip, redigested, replanted
from tests.core.proofs.worlds import BALANCE, CHAIN, LOCK, RECORD, World

VERIFIERS = installed_verifiers(questions.LAYOUTS)
TAMPERED = 1_500
JUDGE = Path(__file__).resolve().parent / "judge.mjs"


@dataclass(frozen=True)
class Case:
    """A file, the anchors that it is judged by, and when."""

    evidence: bytes
    anchor: bytes
    now_s: int
    second: bytes | None = None

    @property
    def anchors(self) -> list[bytes]:
        return [self.anchor] if self.second is None else [self.anchor, self.second]


def judged_by_kit(kit: Path, cases: list[Case]) -> list[dict[str, Any]]:
    files = [
        {"evidence": one.evidence.hex(), "anchors": [anchor.hex() for anchor in one.anchors], "now": one.now_s}
        for one in cases
    ]
    asked = json.dumps({"layouts": encode_layouts(questions.LAYOUTS).hex(), "cases": files})
    node = shutil.which("node")
    assert node is not None
    done = subprocess.run([node, JUDGE, kit], input=asked, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    verdicts: list[dict[str, Any]] = json.loads(done.stdout)
    return verdicts


def judged(case: Case) -> dict[str, Any]:
    """Return what Python's verifier says, in the same form."""
    try:
        trusted = joined_anchors([decode_trusted(anchor) for anchor in case.anchors])
        proven = verify(decode_evidence(case.evidence), trusted, case.now_s, VERIFIERS)
    except ProofError as error:
        return {"refused": error.code}
    except RejectedError:
        return {"refused": "rejected"}
    parts = {"answer": answer_to_json(proven.answer), "as_of": as_of_to_json(proven.as_of)}
    said = {name: canonical.dump(part).decode() for name, part in parts.items()}
    return {**said, "relies_on": list(proven.relies_on)}


def said(verdict: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict of the kit as `judged` has it."""
    assert "broken" not in verdict, verdict["broken"]
    return {name: value for name, value in verdict.items() if name != "why"}


def right_files() -> Iterator[Case]:
    """Every question, by every way to its header, on both kinds of validator keys."""
    absent = RecordQuestion(CHAIN, "provenance", "crate-8")
    for kind in KeyKind:
        world = World(kind=kind)
        one_by_one = world.trail(2, tuple(replace(block, next_validators=None) for block in world.blocks[2:]))
        back = replace(world.trail(5, ()), links=(world.header(4), world.header(3)))
        for question in (RECORD, LOCK, BALANCE, absent):
            for trail in (world.skip(), one_by_one, back):
                data = encode_evidence(consortium_evidence(question, world.proof(question, trail)))
                yield Case(data, encode_anchor(world.anchor(trail.trusted.height)), world.now_s)
    for status in lanes.LaneStatus:
        word = lanes.settled_word(ethereum.TERMS, ethereum.LANE) | status if status else 0
        block = ethereum.Ethereum(word)
        for asked in (ethereum.LOCK, ethereum.lane_at(6), ethereum.lane_at(8), ethereum.BALANCE):
            data = encode_evidence(ethereum_evidence(asked, block.proof(asked)))
            yield Case(data, encode_anchor(block.world.anchor()), block.world.now_s)
    world = questions.ALL.world
    for name in LISTS:
        listed = ListQuestion(
            CHAIN, name.format(namespace="charity", key="x", sender="ab" * 20, chain="eip155:1"), 1, 3
        )
        data = encode_evidence(consortium_evidence(listed, world.proof(listed)))
        yield Case(data, encode_anchor(world.anchor()), world.now_s)
    for data in questions.FILES.values():
        yield Case(data, encode_anchor(world.anchor()), world.now_s)
    for name, data in synced.FILES.items():
        yield Case(data, encode_beacon_anchor(synced.BEACON_ANCHOR), world.now_s)
        if name.endswith("both"):
            yield Case(data, encode_anchor(world.anchor()), world.now_s, encode_beacon_anchor(synced.BEACON_ANCHOR))
    yield from beacon_files()
    yield from transaction_files()


def transaction_files() -> Iterator[Case]:
    """Transactions of blocks of several sizes, the last of which fails, and of a block before the anchor."""
    for ledger in (transactions.LEDGER, transactions.Ledger(1), transactions.Ledger(12, KeyKind.SECP256K1_ETH)):
        for index in (1, len(ledger.entries) // 2, len(ledger.entries) - 1):
            yield Case(encode_evidence(ledger.evidence(index)), encode_anchor(ledger.anchor()), ledger.now_s)
        linked = ledger.evidence(1, ledger.trail(6, 4))
        yield Case(encode_evidence(linked), encode_anchor(ledger.anchor(6)), ledger.now_s)


def beacon_files() -> Iterator[Case]:
    """A way through all forks, back over links, and with 512 members."""
    now_s, answered = questions.ALL.world.now_s, questions.EVIDENCE["storage"]
    mainnet = replace(synced.BEACON, network=replace(synced.BEACON.network, committee_size=512))
    linked, above = synced.proof_by_links(synced.linked(9, block_hash(questions.ALL.header)))
    long = replace(synced.BEACON_ANCHOR, trusting_period_s=Seconds(10**6))
    first = replace(long, trusted_root=synced.BEACON.header(8).beacon.root())
    for proof, trusted in (
        (linked, above),
        (SyncProof(synced.BEACON.chain(8, vouched.TARGET)), first),
        (SyncProof(mainnet.chain(vouched.START, vouched.TARGET)), vouched.anchor_of(mainnet)),
    ):
        evidence = vouched.carrying(answered, proof, questions.LAYOUTS, attested=False)
        yield Case(encode_evidence(evidence), encode_beacon_anchor(trusted), now_s)


RIGHT = list(right_files())


def test_right_files_are_proven_by_both(kit: Path) -> None:
    expected = [judged(case) for case in RIGHT]
    assert all("answer" in one for one in expected)
    assert [said(one) for one in judged_by_kit(kit, RIGHT)] == expected
    assert len({json.dumps(one) for one in expected}) >= 12, "different answers"


def tampered(rng: random.Random) -> Case:
    """A right file with a bit turned, a value replaced (the digest made to fit), or judged from another anchor."""
    case = rng.choice(RIGHT)
    match rng.randrange(6):
        case 0:
            return replace(case, evidence=flip(case.evidence, rng.randrange(8 * len(case.evidence))))
        case 1:
            start = rng.randrange(len(case.evidence))
            return replace(case, evidence=case.evidence[:start] + case.evidence[start + rng.randint(1, 80) :])
        case 2 | 3:
            return replace(case, evidence=replanted(case.evidence, rng.choice, rng.choice(ODD_VALUES)))
        case 4:
            return replace(case, evidence=redigested(case.evidence, lambda raw: flip(raw, rng.randrange(8 * len(raw)))))
        case _:
            return replace(case, anchor=changed_anchor(case.anchor, rng))


def changed_anchor(raw: bytes, rng: random.Random) -> bytes:
    anchor = decode_trusted(raw)
    if isinstance(anchor, BeaconAnchor):
        return encode_beacon_anchor(rng.choice(BEACON_CHANGES)(anchor))
    return encode_anchor(rng.choice(CHANGES)(anchor))


BEACON_CHANGES: list[Callable[[BeaconAnchor], BeaconAnchor]] = [
    lambda one: replace(one, chain=ChainId("eip155:1")),
    lambda one: replace(one, trusted_root=bytes(32)),
    lambda one: replace(one, trusting_period_s=Seconds(1)),
    lambda one: replace(one, network=replace(one.network, genesis_validators_root=bytes(32))),
    lambda one: replace(one, network=replace(one.network, genesis_time=one.network.genesis_time + 10_000)),
    lambda one: replace(one, network=replace(one.network, forks=one.network.forks[:-1])),
    lambda one: replace(one, network=replace(one.network, forks=one.network.forks[:1])),
    lambda one: replace(one, network=replace(one.network, epochs_per_period=4)),
    lambda one: replace(one, network=replace(one.network, committee_size=512 ^ 32 ^ one.network.committee_size)),
]
CHANGES: list[Callable[[Anchor], Anchor]] = [
    lambda one: replace(one, chain=ChainId("causeway:other-1")),
    lambda one: replace(one, genesis_hash=bytes(32)),
    lambda one: replace(one, trusted_height=Height(one.trusted_height + 1)),
    lambda one: replace(one, trusted_hash=bytes(32)),
    lambda one: replace(one, trusting_period_s=Seconds(1)),
    lambda one: replace(one, trusting_period_s=Seconds(one.trusting_period_s + 3_600)),  # changes no verdict
]


def is_of_other_chains(verdict: dict[str, Any], python: dict[str, Any]) -> bool:
    """The kit reads evidence about two kinds of chains only, and refuses names of others before Python has a reason."""
    return "is not read here" in verdict.get("why", "") and "refused" in python


@pytest.mark.parametrize("seed", range(3))
def test_both_say_the_same_of_tampered_files(kit: Path, seed: int) -> None:
    rng = random.Random(seed)
    cases = [tampered(rng) for _ in range(TAMPERED // 3)]
    expected = [judged(case) for case in cases]
    found = judged_by_kit(kit, cases)
    different = [
        (case.evidence[:200], python, verdict)
        for case, python, verdict in zip(cases, expected, found, strict=True)
        if said(verdict) != python and not is_of_other_chains(verdict, python)
    ]
    assert not different
    assert {one.get("refused") for one in expected} >= {"malformed-proof", "invalid-proof", "wrong-anchor", None}


@pytest.mark.parametrize(("later_s", "verdict"), [(-1_000_000, "refused"), (20 * 365 * 86_400, "refused")])
def test_time_decides_alike(kit: Path, later_s: int, verdict: str) -> None:
    cases = [replace(case, now_s=max(0, case.now_s + later_s)) for case in RIGHT]
    expected = [judged(case) for case in cases]
    assert any(verdict in one for one in expected)
    assert [said(one) for one in judged_by_kit(kit, cases)] == expected


def test_command_line_prints_what_is_proven(kit: Path, tmp_path: Path) -> None:
    case = RIGHT[0]
    (tmp_path / "evidence.json").write_bytes(case.evidence)
    (tmp_path / "anchor.json").write_bytes(case.anchor)
    (tmp_path / "broken.json").write_bytes(case.evidence.replace(b"1", b"2", 1))
    node = shutil.which("node")
    assert node is not None

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [node, str(kit / "evidence/cli.js"), *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    good = run("evidence.json", "--anchor", "anchor.json", "--now", str(case.now_s))
    assert (good.returncode, good.stdout.splitlines()[0]) == (0, "proven")
    bad = run("broken.json", "--anchor", "anchor.json", "--now", str(case.now_s))
    assert (bad.returncode, bad.stderr.startswith("not proven: ")) == (2, True)
    assert run("missing.json", "--anchor", "anchor.json").returncode == 1
    assert run("evidence.json").stderr.startswith("usage: causeway-verify")
