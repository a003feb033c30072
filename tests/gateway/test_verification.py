"""`causeway verify` in this process, over files of toy chains: what it says, and when it does not believe."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from core.model.consortium import Burn, Transaction, TransactionBody, address, encode_transaction
from core.model.errors import RejectedError
from core.model.questions import Evidence, TransactionAnswer
from core.proofs.evidence import encode_anchor, encode_beacon_anchor, encode_evidence, encode_layouts
from gateway import cli, proven
from gateway.cli import app, verification
from gateway.proven import uri_of, what
from tests.core.proofs.test_question_evidence import ALL, ANSWERS, EVIDENCE, LAYOUTS
from tests.core.proofs.test_synced_evidence import BEACON_ANCHOR, DOUBLE, SYNCED
from tests.core.proofs.worlds import LOCK


def files(directory: Path, evidence: Sequence[Evidence]) -> None:
    (directory / "answers.json").write_bytes(b"\n".join(map(encode_evidence, evidence)))
    (directory / "anchor.json").write_bytes(encode_anchor(ALL.world.anchor()))
    (directory / "layouts.json").write_bytes(encode_layouts(LAYOUTS))


def verify(directory: Path, *options: str, now: str | None = None) -> tuple[int, Any]:
    found = CliRunner().invoke(
        app,
        [
            "verify", str(directory / "answers.json"), "--anchor", str(directory / "anchor.json"),
            "--layouts", str(directory / "layouts.json"), "--now", now or str(ALL.world.now_s), "--json", *options,
        ],
    )  # fmt: skip
    return found.exit_code, json.loads(found.stdout)


@pytest.mark.parametrize("name", sorted(EVIDENCE))
def test_answer_says_what_when_and_on_whose_word(name: str, tmp_path: Path) -> None:
    files(tmp_path, [EVIDENCE[name]])
    code, said = verify(tmp_path)
    assert (code, said["verified"], said["kind"]) == (0, True, EVIDENCE[name].kind)
    assert said["answer"]["type"] == said["question"]["type"]
    assert said["uri"].startswith(EVIDENCE[name].question.chain)
    assert f"block {EVIDENCE[name].as_of.block.height} of {EVIDENCE[name].question.chain}" in said["when"]
    assert "more than ⅔ of the power" in said["trust"]
    assert "your anchor, block 2" in said["trust"]
    assert ("attest" in said["trust"]) == said["kind"].startswith("ethereum")


def test_answer_names_the_trust_that_it_rests_on(tmp_path: Path) -> None:
    files(tmp_path, [SYNCED["storage"], DOUBLE["storage"], EVIDENCE["storage"]])
    (tmp_path / "beacon.json").write_bytes(encode_beacon_anchor(BEACON_ANCHOR))
    beacon = ("--anchor", str(tmp_path / "beacon.json"))
    code, said = verify(tmp_path, *beacon)
    assert (code, said["verified"]) == (0, True)
    trust = [one["trust"] for one in said["answers"]]
    assert trust[0].startswith("more than ⅔ of each sync committee of eip155:31337")
    assert f"your beacon block 0x{BEACON_ANCHOR.trusted_root.hex()}" in trust[0]
    assert trust[1].startswith("two ways, each checked")
    assert "operators with more than ⅔" in trust[1]
    assert "sync committee" in trust[1]
    assert "sync committee" not in trust[2]
    relies = [one["relies_on"] for one in said["answers"]]
    assert relies == [["sync-committee"], ["attested", "sync-committee"], ["attested"]]

    files(tmp_path, [DOUBLE["storage"]])
    code, said = verify(tmp_path)
    assert (code, said["verified"]) == (0, True)
    assert "the file also carries finality by sync-committee, which is not checked" in said["trust"]
    files(tmp_path, [SYNCED["storage"]])
    code, said = verify(tmp_path)
    assert (code, said["verified"]) == (2, False)
    assert "final by sync-committee: take an anchor for that" in said["reason"]


def test_two_anchors_of_one_kind_are_refused(tmp_path: Path) -> None:
    files(tmp_path, [EVIDENCE["storage"]])
    anchor = ["--anchor", str(tmp_path / "anchor.json")]
    found = CliRunner().invoke(app, ["verify", str(tmp_path / "answers.json"), *anchor, *anchor])
    assert "one of a beacon chain" in str(found.exception)


def test_sentences_show_the_answers(tmp_path: Path) -> None:
    files(tmp_path, list(EVIDENCE.values()))
    _, said = verify(tmp_path)
    what = dict(zip(EVIDENCE, (one["what"] for one in said["answers"]), strict=True))
    assert what["list"] == "2 of the list's 3 entries, none left out: donation-2, donation-3"
    assert what["token"] == "700 base units"
    assert what["leaf"] == "0x0000000000000002"
    assert what["lane"].startswith("generation 7 is claimed")
    assert "which is 55" in what["storage"]
    assert "succeeded" in what["log"]
    assert what["log"].endswith(": data 1")
    assert set(what) == set(ANSWERS)


def test_several_answers_are_judged_each_by_itself(tmp_path: Path) -> None:
    forged = replace(EVIDENCE["leaf"], answer=ANSWERS["list"])
    files(tmp_path, [EVIDENCE["list"], forged, EVIDENCE["token"]])
    code, said = verify(tmp_path)
    assert (code, said["verified"]) == (2, False)
    assert [one["verified"] for one in said["answers"]] == [True, False, True]
    assert "another answer" in said["answers"][1]["reason"]


def test_kept_file_verifies_by_its_own_time_with_a_caution(tmp_path: Path) -> None:
    files(tmp_path, [EVIDENCE["list"]])
    code, said = verify(tmp_path)
    assert (code, said["verified"]) == (0, True)
    assert "only if you know that it existed then" in said["caution"]
    code, said = verify(tmp_path, now="2040-01-01T00:00:00Z")
    assert (code, said["verified"]) == (2, False)
    assert "--now" in said["reason"]


def test_expired_trust_is_said_with_its_dates_and_a_way_on(tmp_path: Path) -> None:
    """The time that it names proves the file again, with the anchor of that day."""
    files(tmp_path, [EVIDENCE["list"]])
    code, said = verify(tmp_path, now="2040-01-01T00:00:00Z")
    assert code == 2
    ended = re.search(r"ended (\S+ \S+) UTC", said["reason"])
    assert ended is not None
    left_s = datetime.fromisoformat(f"{ended[1]}+00:00").timestamp() - ALL.world.now_s
    assert 0 < left_s < ALL.world.anchor().trusting_period_s
    assert "could have made this file since" in said["reason"]
    named = re.search(r"--now (\S+Z)\)", said["reason"])
    assert named is not None
    code, said = verify(tmp_path, now=named[1])
    assert (code, said["verified"], "caution" in said) == (0, True, True)


def test_file_that_is_not_evidence_is_named(tmp_path: Path) -> None:
    files(tmp_path, [EVIDENCE["list"]])
    raw = (tmp_path / "answers.json").read_bytes()
    for wrong in (raw[: len(raw) // 2], b"{}", b"", (tmp_path / "anchor.json").read_bytes(), b"\xff" * 100):
        (tmp_path / "answers.json").write_bytes(wrong)
        code, said = verify(tmp_path)
        assert (code, said["verified"]) == (2, False)
        assert said["reason"].startswith("this is not evidence, or not all of it")
    (tmp_path / "anchor.json").write_bytes(raw)
    code, said = verify(tmp_path)
    assert (code, said["reason"].startswith(f"{tmp_path / 'anchor.json'} is not an anchor")) == (2, True)


def test_table_shows_every_question_whole_and_counts(tmp_path: Path) -> None:
    """An address that is cut could be any other."""
    files(tmp_path, [EVIDENCE["token"], EVIDENCE["lane"]])
    words = ["verify", str(tmp_path / "answers.json"), "--anchor", str(tmp_path / "anchor.json")]
    words += ["--layouts", str(tmp_path / "layouts.json"), "--now", str(ALL.world.now_s)]
    shown = CliRunner(env={"COLUMNS": "70"}).invoke(app, words).stdout
    assert "…" not in shown
    assert "answer 2 of 2" in shown
    assert "2 of 2 answers are proven" in shown


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("token", "the balance of eip155:31337:0x"),
        ("list", "places 2 to 4 of the list records/charity on causeway:"),
        ("leaf", "the leaf records/provenance/crate-7/count of the state of causeway:"),
        ("storage", "storage slot 0x5 of eip155:31337:0x"),
        ("lane", "lane 3 of eip155:31337:0x"),
        ("log", "log 1 of transaction 0x"),
    ],
)
def test_question_is_shown_in_words(name: str, words: str, tmp_path: Path) -> None:
    files(tmp_path, [EVIDENCE[name]])
    assert verify(tmp_path)[1]["about"].startswith(words)


def test_times_are_read_as_spans() -> None:
    spans = [proven._span(seconds) for seconds in (0, 59, 3_600, 3_661, 86_400 + 7_200 + 61, 40 * 86_400)]
    assert spans == ["0 s", "59 s", "1 h", "1 h 1 min", "1 d 2 h", "40 d"]


@pytest.mark.parametrize("now", ["yesterday", "2026-13-01", "-5", "1796000000000", "9" * 400])
def test_time_that_is_none_is_refused(now: str, tmp_path: Path) -> None:
    files(tmp_path, [EVIDENCE["list"]])
    found = CliRunner().invoke(
        app, ["verify", str(tmp_path / "answers.json"), "--anchor", str(tmp_path / "anchor.json"), f"--now={now}"]
    )
    assert "is not a time" in str(found.exception)


def test_token_without_its_layout_is_not_proven(tmp_path: Path) -> None:
    files(tmp_path, [EVIDENCE["proxy"]])
    (tmp_path / "layouts.json").write_bytes(encode_layouts(()))
    code, said = verify(tmp_path)
    assert (code, said["verified"]) == (2, False)
    assert "reviewed" in said["reason"]


def test_empty_file_is_not_proven(tmp_path: Path) -> None:
    files(tmp_path, [])
    code, said = verify(tmp_path)
    assert (code, said["verified"]) == (2, False)


def test_transaction_is_said_in_words() -> None:
    raw = encode_transaction(
        Transaction(
            TransactionBody("test-1", bytes(32), 1, 9, (Burn("cnyd", b"\x01"), Burn("cnyd", b"\x02"))), bytes(64)
        )
    )
    signer = address(bytes(32)).hex()
    said = f"signed by {signer}: bank/burn, bank/burn (2 messages); it took effect"
    assert what(TransactionAnswer(0, raw)) == said
    assert what(TransactionAnswer(7, raw)).endswith("it failed with code 7, and nothing of it took effect")
    assert what(TransactionAnswer(0, b"x")).startswith("1 bytes that nobody can read")


def test_lock_without_a_uri_is_described_by_its_parts() -> None:
    evidence = ALL.world.proof(LOCK)
    assert evidence.entries
    odd = replace(LOCK, terms=replace(LOCK.terms, sender=LOCK.terms.receiver))
    assert uri_of(replace(_verified(), question=odd)) is None
    assert uri_of(replace(_verified(), question=LOCK)) is not None


def _verified() -> Any:
    from core.proofs.evidence import Verified

    return Verified(LOCK, ANSWERS["list"], EVIDENCE["list"].as_of)


def test_words_of_others_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A reason that a relayer chose could write over the verdict."""
    with pytest.raises(SystemExit):
        verification.show([verification.refusal(RejectedError("\x1b[2J\x1b[Hproven\x9b2J\r", uri="x"))], "x", False)
    with pytest.raises(SystemExit):
        cli._end(RejectedError("\x1b]0;proven\x07"))
    shown = "".join(capsys.readouterr())
    assert shown.count("proven") == 3
    assert not [letter for letter in shown if not letter.isprintable() and letter != "\n"]
