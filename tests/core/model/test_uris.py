"""URIs of questions: every question has one canonical URI, every spelling that is read prints as that."""

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.consortium_orders import held_key
from core.model.errors import RejectedError
from core.model.questions import (
    MAX_LIST_ENTRIES,
    MAX_LIST_PLACE,
    BalanceQuestion,
    LaneQuestion,
    LeafQuestion,
    ListQuestion,
    LockQuestion,
    LogQuestion,
    Question,
    RecordQuestion,
    StorageQuestion,
    TransactionQuestion,
)
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    Height,
    LockId,
    LockTerms,
)
from core.model.uris import MAX_URI_CHARS, Asked, parse_uri, print_uri

LEDGER, ETHEREUM = ChainId("causeway:devnet-1"), ChainId("eip155:31337")
TOKEN, HOLDER = "0x" + "ab" * 20, "0x" + "cd" * 20
MIXED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

names = st.from_regex(r"[a-z0-9][-_.a-z0-9]{0,63}", fullmatch=True)
hex40, hex64 = (st.binary(min_size=size, max_size=size).map(bytes.hex) for size in (20, 32))
ledger_accounts = hex40.map(lambda raw: AccountId(f"{LEDGER}:{raw}"))
evm_accounts = hex40.map(lambda raw: AccountId(f"{ETHEREUM}:0x{raw}"))
evm_assets = hex40.map(lambda raw: f"{ETHEREUM}/erc20:0x{raw}") | st.just(f"{ETHEREUM}/slip44:60")
list_names = (
    st.sampled_from(["assets", "organisations", "proposals", "misbehaviour", "queries", "orders", "headers/eip155:1"])
    | st.lists(names, min_size=1, max_size=2).map(lambda parts: "/".join(["records", *parts]))
    | names.map(lambda name: f"records/charity/{name}/access")
    | hex40.map(lambda raw: f"locks/{raw}")
)


@st.composite
def lists(draw: st.DrawFn) -> ListQuestion:
    first = draw(st.integers(1, MAX_LIST_PLACE))
    last = draw(st.integers(first, min(first + MAX_LIST_ENTRIES - 1, MAX_LIST_PLACE)))
    return ListQuestion(LEDGER, draw(list_names), first, last)


@st.composite
def ledger_locks(draw: st.DrawFn) -> LockQuestion:
    sender, hashlock = draw(hex40), draw(hex64)
    asset = AssetId(f"{LEDGER}/asset:{draw(names)}")
    terms = _terms(draw, LEDGER, asset, AccountId(f"{LEDGER}:{sender}"), draw(ledger_accounts), hashlock)
    return LockQuestion(LEDGER, LockId(f"{sender}/{hashlock}"), terms, None)


@st.composite
def evm_locks(draw: st.DrawFn) -> LockQuestion:
    sender = draw(hex40)
    asset = AssetId(draw(evm_assets))
    account = AccountId(f"{ETHEREUM}:0x{sender}")
    terms = _terms(draw, ETHEREUM, asset, account, draw(evm_accounts), draw(hex64))
    lane = f"{draw(st.integers(0, 2**32 - 1))}/{draw(st.integers(0, 2**16 - 1))}"
    return LockQuestion(ETHEREUM, LockId(f"0x{sender}/{lane}"), terms, draw(evm_accounts))


def _terms(
    draw: st.DrawFn, chain: ChainId, asset: AssetId, sender: AccountId, receiver: AccountId, hashlock: str
) -> LockTerms:
    amount, timelock = draw(st.integers(1, 2**256 - 1)), draw(st.integers(1, 2**40 - 1))
    raw = Hashlock(bytes.fromhex(hashlock))
    return LockTerms(asset, BaseUnits(amount), sender, receiver, raw, ChainTime(chain, timelock))


questions: st.SearchStrategy[Question] = (
    st.builds(RecordQuestion, st.just(LEDGER), names, names)
    | st.builds(
        BalanceQuestion, st.just(LEDGER), ledger_accounts, names.map(lambda name: AssetId(f"{LEDGER}/asset:{name}"))
    )
    | st.builds(BalanceQuestion, st.just(ETHEREUM), evm_accounts, evm_assets.map(AssetId))
    | st.builds(LeafQuestion, st.just(LEDGER), st.binary(min_size=1, max_size=256))
    | st.builds(LeafQuestion, st.just(LEDGER), st.binary(min_size=19, max_size=21).map(held_key))
    | lists()
    | ledger_locks()
    | evm_locks()
    | st.builds(StorageQuestion, st.just(ETHEREUM), evm_accounts, st.integers(0, 2**256 - 1))
    | st.builds(LaneQuestion, st.just(ETHEREUM), evm_accounts, evm_accounts, st.integers(0, 2**32 - 1))
    | st.builds(TransactionQuestion, st.just(LEDGER), st.binary(min_size=32, max_size=32))
    | st.builds(LogQuestion, st.just(ETHEREUM), st.binary(min_size=32, max_size=32), st.integers(0, 2**16 - 1))
)
heights = st.none() | st.integers(0, 2**63 - 1).map(Height)


@given(questions, heights)
def test_every_question_survives_its_uri(question: Question, at: Height | None) -> None:
    assert parse_uri(print_uri(question, at)) == Asked(question, at)


@given(questions, heights, st.data())
def test_every_spelling_prints_as_the_canonical_one(question: Question, at: Height | None, data: st.DataObject) -> None:
    """Percent-encoded at will, parameters in any order, `at=finalized` written out."""
    canonical = print_uri(question, at)
    path, _, query = canonical.partition("?")
    parts = [_spelled(part, data) for part in path.split("/")]
    parameters = query.split("&") if query else []
    parameters += ["at=finalized"] if at is None and data.draw(st.booleans()) else []
    shuffled = [
        "=".join(_spelled(one, data) for one in pair.split("=")) for pair in data.draw(st.permutations(parameters))
    ]
    spelled = "/".join(parts) + ("?" + "&".join(shuffled) if shuffled else "")
    if len(spelled) <= MAX_URI_CHARS:
        assert parse_uri(spelled) == Asked(question, at)


def _spelled(part: str, data: st.DataObject) -> str:
    return "".join(f"%{ord(one):02X}" if data.draw(st.booleans()) else one for one in part)


@settings(max_examples=400)
@given(st.text(max_size=120) | questions.map(print_uri), st.data())
def test_any_text_is_read_canonically_or_refused(text: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(text)))
    text = (
        text[:place]
        + data.draw(st.sampled_from(["", "/", "?", "%2F", "%", "&", "=", "0", "..", "\u0435"]))
        + text[place:]
    )
    try:
        asked = parse_uri(text)
    except RejectedError:
        return
    printed = print_uri(asked.question, asked.at)
    assert parse_uri(printed) == asked
    assert print_uri(parse_uri(printed).question, parse_uri(printed).at) == printed


@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        ("causeway:devnet-1/records/charity/donation-17", None),
        (f"causeway:devnet-1/bank/balance/{'AB' * 20}/cnyd", f"causeway:devnet-1/bank/balance/{'ab' * 20}/cnyd"),
        (f"causeway:devnet-1/bank/balance/{LEDGER}:{'ab' * 20}/a", f"causeway:devnet-1/bank/balance/{'ab' * 20}/a"),
        ("causeway:devnet-1/lists/records/c?to=20&from=10", "causeway:devnet-1/lists/records/c?from=10&to=20"),
        ("causeway:devnet-1/lists/assets", "causeway:devnet-1/lists/assets?from=1&to=100"),
        ("causeway:devnet-1/lists/assets?from=5", "causeway:devnet-1/lists/assets?from=5&to=104"),
        (f"causeway:devnet-1/holds/{'AB' * 20}?at=7", f"causeway:devnet-1/holds/{'ab' * 20}?at=7"),
        (f"causeway:devnet-1/state/{held_key(b'x' * 20).hex()}", f"causeway:devnet-1/holds/{'78' * 20}"),
        ("causeway:devnet-1/state/636C6f636b?at=7", "causeway:devnet-1/state/636c6f636b?at=7"),
        (f"eip155:31337/storage/{TOKEN}/0x007", f"eip155:31337/storage/{TOKEN}/0x7"),
        (f"eip155:31337/storage/{TOKEN}/10", f"eip155:31337/storage/{TOKEN}/0xa"),
        (f"eip155:31337/erc20:{MIXED}/balanceOf/{HOLDER}", f"eip155:31337/erc20:{MIXED.lower()}/balanceOf/{HOLDER}"),
        (f"eip155:31337/slip44:60/balanceOf/{HOLDER}?at=finalized", f"eip155:31337/slip44:60/balanceOf/{HOLDER}"),
        (f"eip155:31337/htlc/{TOKEN}/{HOLDER}/3", None),
        (f"eip155:31337/tx/0x{'AB' * 32}/log/3", f"eip155:31337/tx/0x{'ab' * 32}/log/3"),
    ],
)  # fmt: skip
def test_uri_prints_as_its_canonical_form(uri: str, canonical: str | None) -> None:
    asked = parse_uri(uri)
    assert print_uri(asked.question, asked.at) == (canonical or uri)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "the chain id is empty"),
        ("x" * (MAX_URI_CHARS + 1), "at most 2048"),
        ("bip122:000000000019d6689c085ae165831e93/records/a/b", "nothing can be asked of"),
        ("causeway:devnet-1", "is not a question"),
        ("causeway:devnet-1/", "is not a question"),
        ("causeway:devnet-1/records/charity", "is not a question"),
        ("causeway:devnet-1/records/charity/x/", "is not a question"),
        ("causeway:devnet-1/records/a/b/c/d/e/f/g/h", "at most 8 segments"),
        ("causeway:devnet-1/records/charity%2Fdonation-17/x", "is not a name"),
        ("causeway:devnet-1/records/charity/Donation", "is not a name"),
        ("causeway:devnet-1/records/charity/%zz", "two hex digits"),
        ("causeway:devnet-1/records/charity/%C3%A9", "stands for characters"),
        ("causeway:devnet-1/records/charity/%00", "stands for characters"),
        ("causeway:devnet-1/records/charity/x#y", "U\\+0023"),
        ("causeway:devnet-1/records/charity/d\u043enation", "U\\+043E"),
        ("causeway:devnet-1/records/charity/x?", "is not written name=value"),
        ("causeway:devnet-1/records/charity/x?at=", "is not written name=value"),
        ("causeway:devnet-1/records/charity/x?at=1&at=1", "stands twice"),
        ("causeway:devnet-1/records/charity/x?at=01", "decimal number"),
        ("causeway:devnet-1/records/charity/x?at=-1", "decimal number"),
        (f"causeway:devnet-1/records/charity/x?at={2**63}", "decimal number"),
        ("causeway:devnet-1/records/charity/x?from=1", "unknown parameter 'from'"),
        ("causeway:devnet-1/lists/nothing", "is not a list"),
        ("causeway:devnet-1/lists/records%2Fcharity", "no slash"),
        ("causeway:devnet-1/lists/assets?from=0&to=1", "count from 1"),
        ("causeway:devnet-1/lists/assets?from=9&to=1", "`from` before `to`"),
        ("causeway:devnet-1/lists/assets?from=1&to=101", "ask for fewer"),
        ("causeway:devnet-1/lists/headers/eip155:01", "without leading zeros"),
        (f"causeway:devnet-1/state/{'00' * 257}", "1 to 256 bytes"),
        (f"causeway:devnet-1/holds/{'ab' * 19}", "not an account|not a CAIP-10|40"),
        ("causeway:devnet-1/state/abc", "not a state key in hex"),
        (f"causeway:devnet-1/htlc/{'ab' * 20}/{'cd' * 32}?amount=1&timelock=9", "'asset' is missing"),
        (f"causeway:devnet-1/bank/balance/causeway:other:{'ab' * 20}/cnyd", "not an account|not a CAIP-10"),
        (f"causeway:devnet-1/storage/{TOKEN}/1", "is not a question"),
        (f"eip155:31337/storage/{TOKEN}/{2**256}", "0 ≤ n < 2\\*\\*256|not a storage slot"),
        (f"eip155:31337/storage/{TOKEN}/0x{'0' * 65}", "not a storage slot"),
        (f"eip155:31337/storage/{MIXED.swapcase()}/1", "EVM address"),
        (f"eip155:31337/erc721:{TOKEN}/balanceOf/{HOLDER}", "is not a question"),
        (f"eip155:31337/erc20:{TOKEN}%2F5/balanceOf/{HOLDER}", "token id|not a CAIP-19|hex digit|digits"),
        (f"eip155:31337/htlc/{TOKEN}/{HOLDER}/4294967296", "a lane is a number"),
        (f"eip155:31337/htlc/{TOKEN}/{HOLDER}/3%2F4/5", "is not a lock id"),
        (f"eip155:31337/tx/{'ab' * 32}/log/3", "begins with 0x"),
        (f"eip155:31337/tx/0x{'ab' * 31}/log/3", "32 bytes"),
        (f"eip155:31337/tx/0x{'ab' * 32}/log/65536", "a log's index"),
    ],
)  # fmt: skip
def test_bad_uri_is_refused_with_its_fault(uri: str, why: str) -> None:
    with pytest.raises(RejectedError, match=why):
        parse_uri(uri)


@given(ledger_locks() | evm_locks())
def test_terms_of_another_sender_have_no_uri(question: LockQuestion) -> None:
    other = question.terms.sender[:-1] + ("0" if question.terms.sender[-1] != "0" else "1")
    with pytest.raises(RejectedError):
        print_uri(replace(question, terms=replace(question.terms, sender=AccountId(other))))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_quoted_text_reaches_no_other_segment(text: str) -> None:
    """A text of somebody else, quoted as a segment, is a record's key or nothing."""
    try:
        asked = parse_uri(f"causeway:devnet-1/records/notes/{quote(text, safe='')}")
    except RejectedError:
        return
    assert asked == Asked(RecordQuestion(LEDGER, "notes", text))
