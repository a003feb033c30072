"""A proven answer in words: what it says, as of when, and on whose word."""

from typing import Any, Final

from core.model.consortium import ADDRESS_BYTES, address, caip_account, decode_leaf, decode_transaction
from core.model.consortium_orders import HELD, HeldLeaf, held_key
from core.model.errors import RejectedError
from core.model.questions import (
    Answer,
    BalanceAnswer,
    BalanceQuestion,
    LaneAnswer,
    LaneQuestion,
    LeafAnswer,
    LeafQuestion,
    ListAnswer,
    ListQuestion,
    LockAnswer,
    LockQuestion,
    LogAnswer,
    LogQuestion,
    Question,
    RecordAnswer,
    RecordQuestion,
    StorageAnswer,
    StorageQuestion,
    TransactionAnswer,
    TransactionQuestion,
)
from core.model.uris import print_uri
from core.proofs.evidence import ETHEREUM_LOG, ETHEREUM_TOKEN, Trusted, Verified
from core.proofs.evidence.codec import as_of_to_json
from core.proofs.evidence.forms import answer_to_json, question_to_json
from core.proofs.evidence.kinds import (
    FINAL_BY_ATTESTATION,
    FINAL_BY_COMMIT,
    FINAL_BY_SYNC_COMMITTEE,
    beacon_anchor,
    ledger_anchor,
)
from core.runtime.clock import show_time

MAX_SHOWN_CHARS: Final = 400
MAX_SHOWN_ENTRIES: Final = 20
OLD_S: Final = 60
"""`now` is called the past if it is further back than this."""
_KNOWN_RULES: Final = {FINAL_BY_COMMIT, FINAL_BY_ATTESTATION, FINAL_BY_SYNC_COMMITTEE}


def document(proven: Verified, anchor: Trusted, kind: str, at_s: int, now_s: int) -> dict[str, Any]:
    """The JSON of a proven answer: its parts as in the evidence, its URI if it has one, and sentences about them: who
    or what was asked about, what the answer is, as of when, and on whose word.

    `at_s`: the time by which it was verified; `now_s`: the real one.
    """
    return {
        "uri": uri_of(proven),
        "question": question_to_json(proven.question),
        "answer": answer_to_json(proven.answer),
        "as_of": as_of_to_json(proven.as_of),
        "kind": kind,
        "relies_on": list(proven.relies_on),
        **sentences(proven, anchor, kind, at_s, now_s),
    }


def sentences(proven: Verified, anchor: Trusted, kind: str, at_s: int, now_s: int) -> dict[str, str]:
    """`about`, `what`, `when` and `trust`, and `caution` for what cannot be said any more."""
    found = {
        "about": about(proven.question),
        "what": _hold(proven) or what(proven.answer),
        "when": when(proven, at_s),
        "trust": trust(proven, anchor, kind),
    }
    if at_s < now_s - OLD_S:
        found["caution"] = (
            f"verified by the time {show_time(at_s)}, which is past: whoever holds keys of that day's validators today "
            "can make such a file now. It proves something only if you know that it existed then"
        )
    return found


def uri_of(proven: Verified) -> str | None:
    """The question's URI, None for a lock whose terms contradict its id."""
    try:
        return print_uri(proven.question)
    except RejectedError:
        return None


def about(question: Question) -> str:
    """The question in words: whose record, balance or lock, and where."""
    match question:
        case RecordQuestion():
            return f"the record {question.key} of {question.namespace} on {question.chain}"
        case BalanceQuestion():
            return f"the balance of {question.account} in {question.asset}, locks excluded"
        case LockQuestion():
            terms, holder = question.terms, "" if question.holder is None else f" in {question.holder}"
            return (
                f"the lock of {terms.amount} base units of {terms.asset} by {terms.sender} for {terms.receiver}{holder}"
            )
        case ListQuestion():
            return f"places {question.first} to {question.last} of the list {question.name} on {question.chain}"
        case LeafQuestion():
            return f"the leaf {_text(question.key)} of the state of {question.chain}"
        case StorageQuestion():
            return f"storage slot {question.slot:#x} of {question.contract}"
        case LaneQuestion():
            return f"lane {question.lane} of {question.sender} in {question.holder}"
        case LogQuestion():
            return f"log {question.index} of transaction 0x{question.transaction.hex()} on {question.chain}"
        case TransactionQuestion():
            return f"transaction {question.transaction.hex()} on {question.chain}"


def what(answer: Answer) -> str:
    """The answer in a sentence."""
    match answer:
        case RecordAnswer(version=0):
            return "there is no such record"
        case RecordAnswer():
            return f"version {answer.version}, written by {answer.author}: {_text(answer.document)}"
        case LockAnswer():
            terms = "under exactly these terms" if answer.terms_match else "not under these terms"
            return f"the lock is {answer.status}, {terms}; code {answer.code_hash.hex()}"
        case BalanceAnswer():
            return f"{answer.amount} base units"
        case LeafAnswer():
            return "there is no such leaf" if answer.value is None else _text(answer.value)
        case ListAnswer():
            shown = ", ".join(map(_text, answer.entries[:MAX_SHOWN_ENTRIES]))
            more = len(answer.entries) - MAX_SHOWN_ENTRIES
            rest = f" and {more} more" if more > 0 else ""
            return f"{len(answer.entries)} of the list's {answer.count} entries, none left out: {shown or 'none'}{rest}"
        case LaneAnswer():
            return f"generation {answer.generation} is {answer.status}; code {answer.code_hash.hex()}"
        case LogAnswer(log=None):
            return f"the transaction {_outcome(answer)} and has {answer.count} logs: there is no such log"
        case LogAnswer():
            assert answer.log is not None
            topics = " ".join(f"0x{topic.hex()}" for topic in answer.log.topics)
            return (
                f"the transaction {_outcome(answer)}; {answer.log.contract} logged {topics}: {_text(answer.log.data)}"
            )
        case TransactionAnswer():
            return _transaction(answer)
        case StorageAnswer():
            return f"0x{answer.word:064x}, which is {answer.word}; code {answer.code_hash.hex()}"


def _hold(proven: Verified) -> str:
    """The answer to a question about a hold in a sentence; empty for any other question."""
    question, answer = proven.question, proven.answer
    if not isinstance(question, LeafQuestion) or not isinstance(answer, LeafAnswer):
        return ""
    raw = question.key.removeprefix(HELD)
    if question.key != held_key(raw) or len(raw) != ADDRESS_BYTES:
        return ""
    account = caip_account(question.chain, raw)
    if answer.value is None:
        return f"no order holds {account}"
    try:
        leaf = decode_leaf(answer.value, HeldLeaf)
    except RejectedError:
        return ""
    if proven.as_of.time.seconds < leaf.until:
        return f"order {leaf.order} holds {account} until {show_time(leaf.until)}"
    return f"no order holds {account} any more: order {leaf.order} expired at {show_time(leaf.until)}"


def when(proven: Verified, at_s: int) -> str:
    """The block, its time, and how long before `at_s` that was."""
    block, time = proven.as_of.block, proven.as_of.time.seconds
    age = f"{_span(at_s - time)} before" if at_s >= time else f"by that chain's clock {_span(time - at_s)} after"
    return f"as of block {block.height} of {block.chain}, {show_time(time)}, {age} the time of this check"


def trust(proven: Verified, anchor: Trusted, kind: str) -> str:
    """Whose word the answer rests on, by what was checked from the reader's own anchors."""
    if not proven.relies_on or not set(proven.relies_on) <= _KNOWN_RULES:
        return f"finality by {proven.as_of.finality}, under your anchor"
    said = [_reason(rule, anchor, kind) for rule in proven.relies_on]
    layout = "; a reviewed layout says that this word is the balance" if kind == ETHEREUM_TOKEN else ""
    if len(said) > 1:
        return f"two ways, each checked, and each enough by itself: (1) {said[0]}; (2) {said[1]}{layout}"
    for rule in proven.as_of.finality.split("+"):
        if rule not in proven.relies_on:
            layout += f"; the file also carries finality by {rule}, which is not checked, as you gave no anchor for it"
    return f"{said[0]}{layout}"


def _reason(rule: str, anchor: Trusted, kind: str) -> str:
    """Who signed by this rule of finality, followed from the anchor that it needs."""
    block = "a later block, to whose parents this one belongs," if kind == ETHEREUM_LOG else "this block"
    if rule == FINAL_BY_SYNC_COMMITTEE:
        beacon = beacon_anchor(anchor)
        assert beacon is not None
        return (
            f"more than ⅔ of each sync committee of {beacon.chain}, followed from your beacon block "
            f"0x{beacon.trusted_root.hex()}, sign that {block} is final; no stake is lost for a false signature"
        )
    ledger = ledger_anchor(anchor)
    assert ledger is not None
    if rule == FINAL_BY_ATTESTATION:
        return (
            f"operators with more than ⅔ of the power of {ledger.chain} attest {block} as final, in a ledger whose "
            f"validators are followed from your anchor, block {ledger.trusted_height}"
        )
    return (
        f"validators with more than ⅔ of the power of {ledger.chain}, followed from your anchor, block "
        f"{ledger.trusted_height}, signed the header above it"
    )


def _span(seconds: int) -> str:
    """A time span in its two largest units."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, left = divmod(rest, 60)
    parts = [f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (left, "s")) if n]
    return " ".join(parts[:2]) or "0 s"


def _outcome(answer: LogAnswer) -> str:
    return "succeeded" if answer.succeeded else "was reverted"


def _transaction(answer: TransactionAnswer) -> str:
    """Who signed it, what it asks for, and if it took effect. A block may have bytes that nobody can read."""
    ended = "it took effect" if not answer.code else f"it failed with code {answer.code}, and nothing of it took effect"
    try:
        body = decode_transaction(answer.raw).body
        who = address(body.public_key).hex()
        said = [str(one.__struct_config__.tag) for one in body.messages]
    except RejectedError:
        return f"{len(answer.raw)} bytes that nobody can read; {ended}"
    return f"signed by {who}: {', '.join(said[:MAX_SHOWN_ENTRIES])} ({len(said)} messages); {ended}"


def _text(raw: bytes) -> str:
    """Printable text as it is, other bytes in hex; cut if long."""
    try:
        shown = raw.decode()
        shown = shown if shown.isprintable() and shown else f"0x{raw.hex()}"
    except UnicodeDecodeError:
        shown = f"0x{raw.hex()}"
    return shown if len(shown) <= MAX_SHOWN_CHARS else f"{shown[:MAX_SHOWN_CHARS]}… ({len(raw)} bytes)"
