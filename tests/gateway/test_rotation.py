"""`causeway relayer rotate`: the file says who opens swaps and who retires, and nothing else in it changes."""

import asyncio
import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.errors import ConflictError, NotFoundError, RejectedError
from core.runtime.database import create_schema, open_database
from gateway import keyring, rotation
from gateway.checks import check_relayer, check_relayer_file, named_keys
from gateway.config import (
    AccountConfig,
    RelayerConfig,
    ReserveConfig,
    TopUpConfig,
    TreasuryConfig,
    editing,
    load,
    to_toml,
    verified,
)
from gateway.config.accounts import dropped
from gateway.daemons.relayer import _keys
from gateway.keyring import Passphrase
from gateway.rotation import Successor
from relayer.treasury import orders
from tests.gateway.test_config import ETHEREUM, LEDGER, relayer

BLOCKS = """# kept: the first line
name = "r"  # kept: behind a value

[[accounts]]  # kept: behind the header
chain = "a"
# kept: within
key = "one"

[[accounts.max_take]]
asset = "x"
amount = 5

# kept: before the next
[[accounts]]
chain = "b"
key = "two"
# kept: at the end of the second

[treasury]
low = []
"""
ROWS = """# kept: the first line
accounts = [
    # kept: within
    { chain = "a", key = "one", max_take = [{ asset = "x", amount = 5 }] },  # kept: behind
    { chain = "b", key = "two" },
]
name = "r"

[treasury]
low = []
"""
PASSPHRASE_OF_TESTS = "correct horse battery"


EMPTY = "retiring = []  # none yet\n"


@pytest.mark.parametrize(
    "text",
    [BLOCKS, ROWS, EMPTY + BLOCKS, EMPTY + ROWS, ROWS.replace("\n[treasury]", f"{EMPTY}[treasury]")],
    ids=["blocks", "rows", "blocks and an empty list", "rows and an empty list", "an empty list behind them"],
)
def test_rotation_changes_one_account_and_nothing_else(text: str) -> None:
    before = tomllib.loads(text)
    new = {"chain": "a", "key": "three", "max_take": [{"asset": "x", "amount": 7}]}
    once = editing.rotated(text, 0, new)
    assert tomllib.loads(once) == {
        **before,
        "accounts": [new, before["accounts"][1]],
        "retiring": [before["accounts"][0]],
    }
    twice = editing.rotated(once, 0, {"chain": "a", "key": "four"})
    third = editing.rotated(twice, 1, {"chain": "b", "key": "five"})
    after = tomllib.loads(third)
    assert [one["key"] for one in after["accounts"]] == ["four", "five"]
    assert sorted(one["key"] for one in after["retiring"]) == ["one", "three", "two"]
    for changed in (once, twice, third):
        assert [line for line in text.splitlines() if line.lstrip().startswith("# kept")] == [
            line for line in changed.splitlines() if line.lstrip().startswith("# kept")
        ]
    for number in (2, 1, 0):
        third = editing.without_retiring(third, number)
    assert tomllib.loads(third).get("retiring", []) == []
    assert [one["key"] for one in tomllib.loads(third)["accounts"]] == ["four", "five"]
    assert "# kept: the first line" in third


NESTED = 'note = """\n[[accounts]]\nchain = "z"\n"""\n[[accounts]]\nchain = "a"\nkey = "one"\n'


@pytest.mark.parametrize(
    "text",
    [
        'accounts = [{ chain = "a", key = "one" }, { chain = "b", key = "two" }]\n',
        'accounts = [\n  { chain = "a", key = "one" }, { chain = "b", key = "two" },\n]\n',
        '"accounts" = [{ chain = "a", key = "one" }]\n',
        NESTED,
    ],
)
def test_other_spellings_are_left_to_their_owner(text: str) -> None:
    with pytest.raises(RejectedError, match="by hand") as refused:
        editing.rotated(text, 0, {"chain": "a", "key": "three"})
    for line in ('[[accounts]]\nchain = "a"\nkey = "three"', '[[retiring]]\nchain = "a"\nkey = "one"'):
        assert line in refused.value.message


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=12)
TABLES = st.fixed_dictionaries(
    {"chain": NAMES, "key": NAMES},
    optional={
        "max_take": st.lists(st.fixed_dictionaries({"asset": NAMES, "amount": st.integers(0, 2**62)}), max_size=3)
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(TABLES, min_size=1, max_size=4), st.lists(TABLES, max_size=3), TABLES, st.data())
def test_what_is_written_here_is_always_changed_rightly(
    accounts: list[dict[str, Any]], retiring: list[dict[str, Any]], new: dict[str, Any], data: st.DataObject
) -> None:
    import tomli_w

    table: dict[str, Any] = {"name": "r", "accounts": accounts, "treasury": {"low": []}}
    if retiring:
        table["retiring"] = retiring
    number = data.draw(st.integers(0, len(accounts) - 1))
    try:
        changed = editing.rotated(tomli_w.dumps(table), number, new)
    except RejectedError:
        assert any("max_take" in one for one in (*accounts, *retiring, new))  # rows of several lines
        return
    after = tomllib.loads(changed)
    assert after["accounts"] == [*accounts[:number], new, *accounts[number + 1 :]]
    assert sorted(map(repr, after["retiring"])) == sorted(map(repr, [*retiring, accounts[number]]))
    assert after["name"] == "r"
    assert after["treasury"] == {"low": []}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with its keystore."""
    monkeypatch.setenv("CAUSEWAY_PASSPHRASE", PASSPHRASE_OF_TESTS)
    accounts = AccountConfig(ETHEREUM.id, "ethereum"), AccountConfig(LEDGER.id, "consortium")
    config = relayer(
        accounts=accounts, keystore="keystore.json", passphrase_env="CAUSEWAY_PASSPHRASE", quote_key="quote"
    )
    keyring.add_fresh(
        tmp_path / "keystore.json",
        ["ethereum", "consortium", "quote"],
        Passphrase(None, "CAUSEWAY_PASSPHRASE", new=True),
    )
    path = tmp_path / "relayer.toml"
    path.write_text(to_toml(config, defaults=False))
    path.chmod(0o640)
    return path


def test_fresh_key_opens_swaps_and_the_former_retires(written: Path) -> None:
    owner = (written.stat().st_uid, written.stat().st_gid + 1 if os.geteuid() == 0 else written.stat().st_gid)
    os.chown(written, *owner)
    done = rotation.rotate(written, ETHEREUM.id, Successor())
    assert (written.stat().st_uid, written.stat().st_gid) == owner
    config = load(written, RelayerConfig)
    assert (done.key, config.accounts[0].key, config.retiring) == (
        "ethereum-2",
        "ethereum-2",
        (AccountConfig(ETHEREUM.id, "ethereum"),),
    )
    assert done.account != done.former
    assert written.stat().st_mode & 0o777 == 0o640
    assert list(check_relayer_file(written))
    again = rotation.rotate(written, ETHEREUM.id, Successor())
    assert (again.key, again.former) == ("ethereum-3", done.account)
    with pytest.raises(RejectedError, match="in use, or retires, already"):
        rotation.rotate(written, ETHEREUM.id, Successor(key="ethereum"))
    with pytest.raises(RejectedError, match="not a configured chain"):
        rotation.rotate(written, "eip155:5", Successor())


def test_signer_elsewhere_follows_a_key(written: Path) -> None:
    address = f"{ETHEREUM.id}:0x{'7' * 40}"
    wanted = Successor(signer="https://signer.internal:9000", address=address, dialect="eth_signTransaction")
    assert rotation.rotate(written, ETHEREUM.id, wanted).account == address
    found = load(written, RelayerConfig).accounts[0]
    assert (found.address, found.dialect, found.key) == (address, "eth_signTransaction", "")
    with pytest.raises(RejectedError, match="EVM chains only"):
        rotation.rotate(written, LEDGER.id, replace_signer(wanted))
    before = written.read_text()
    with pytest.raises(RejectedError, match="dialect"):
        rotation.rotate(
            written, ETHEREUM.id, Successor(signer="https://a:1", address=f"{ETHEREUM.id}:0x{'8' * 40}", dialect="x")
        )
    assert written.read_text() == before


def replace_signer(wanted: Successor) -> Successor:
    return Successor(signer=wanted.signer, address=f"{LEDGER.id}:{'7' * 40}")


def test_former_account_goes_once_nothing_is_left(written: Path) -> None:
    with pytest.raises(NotFoundError, match="no account"):
        asyncio.run(rotation.finish(written, ETHEREUM.id))
    done = rotation.rotate(written, ETHEREUM.id, Successor())
    config = load(written, RelayerConfig)
    database = written.parent / "relayer.sqlite"
    assert config.database.endswith(database.name)
    order = orders.Withdrawal("aa", done.former, done.account, ETHEREUM.assets[0], None, 1, 2)  # type: ignore[arg-type]

    async def with_order(end: bool) -> None:
        opened = open_database(f"sqlite:///{database}")
        try:
            await opened.write(create_schema)
            if end:
                await opened.write(lambda c: orders.change(c, order, orders.WithdrawalStatus.LAPSED))
            else:
                await opened.write(lambda c: orders.write(c, order, bytes(32)))
        finally:
            await opened.close()

    asyncio.run(with_order(end=False))
    with pytest.raises(ConflictError, match="1 withdrawals left"):
        asyncio.run(rotation.finish(written, ETHEREUM.id))
    asyncio.run(with_order(end=True))
    assert asyncio.run(rotation.finish(written, ETHEREUM.id)) == [done.former]
    assert load(written, RelayerConfig).retiring == ()


@pytest.mark.parametrize(
    ("retiring", "said"),
    [
        ([AccountConfig(ETHEREUM.id, "ethereum")], r"retiring\[0\]: is the account of"),
        ([AccountConfig(ETHEREUM.id, "a"), AccountConfig(ETHEREUM.id, "a")], r"retiring\[1\]: .* named twice"),
        ([AccountConfig(ETHEREUM.id)], r"retiring\[0\]: nobody signs for it"),
        ([AccountConfig("eip155:7", "a")], r"retiring\[0\].chain: "),
    ],
)
def test_former_account_that_cannot_be_is_refused(retiring: list[AccountConfig], said: str) -> None:
    accounts = AccountConfig(ETHEREUM.id, "ethereum"), AccountConfig(LEDGER.id, "consortium")
    with pytest.raises(RejectedError, match=said):
        verified(relayer(accounts=accounts, retiring=tuple(retiring)))


def test_former_account_needs_a_present_one() -> None:
    only = relayer(
        accounts=(AccountConfig(LEDGER.id, "consortium"),), pairs=(), retiring=(AccountConfig(ETHEREUM.id, "e"),)
    )
    with pytest.raises(RejectedError, match="no other account opens swaps"):
        verified(only)


def test_limits_of_an_account_go_with_it(written: Path) -> None:
    config = load(written, RelayerConfig)
    most = (ReserveConfig(ETHEREUM.assets[0], 5),)
    first = msgspec.structs.replace(config.accounts[0], max_take=most)
    written.write_text(to_toml(msgspec.structs.replace(config, accounts=(first, config.accounts[1])), defaults=False))
    rotation.rotate(written, ETHEREUM.id, Successor())
    found = load(written, RelayerConfig)
    assert found.accounts[0].max_take == found.retiring[0].max_take == most


def test_accounts_that_would_be_gone_are_found() -> None:
    here, there = AccountConfig(ETHEREUM.id, "ethereum"), AccountConfig(LEDGER.id, "consortium")
    other = AccountConfig(ETHEREUM.id, "ethereum-2")
    more = msgspec.structs.replace(here, max_take=(ReserveConfig(ETHEREUM.assets[0], 5),))
    assert dropped((here, there), (there, more)) == []
    assert dropped((here, there), (other, there)) == [here]
    assert dropped((here, there), (other, there, here)) == []
    elsewhere = AccountConfig(LEDGER.id, "ethereum")
    assert dropped((here,), (elsewhere,)) == [here]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"asset": LEDGER.assets[0]}, r"top_up\[0\].asset: .* pays for no gas here"),
        ({"asset": "eip155:7/slip44:60"}, r"top_up\[0\].asset: .* pays for no gas here"),
        ({"asset": f"{ETHEREUM.id}/erc20:0x{'ab' * 20}"}, r"top_up\[0\].asset: .* pays for no gas here"),
        ({"key": "ethereum"}, r"top_up\[0\].key: .*is the key of the account that is paid"),
        ({"key": "former"}, r"top_up\[0\].key: .*is the key of the account that is paid"),
        ({"target": 4}, r"top_up\[0\]: target, 4, is below low, 5"),
        ({"low": 0}, r"top_up\[0\].low: 0 is not an amount"),
        ({"per_day": 0}, r"top_up\[0\].per_day: 0 is not an amount"),
    ],
)
def test_top_up_that_cannot_be_is_refused(changed: dict[str, Any], said: str) -> None:
    accounts = AccountConfig(ETHEREUM.id, "ethereum"), AccountConfig(LEDGER.id, "consortium")
    fine = TopUpConfig(ETHEREUM.assets[0], "funding", 5, 9, 20)
    for top_up in (fine, msgspec.structs.replace(fine, **changed)):
        config = relayer(
            accounts=accounts,
            retiring=(AccountConfig(ETHEREUM.id, "former"),),
            treasury=TreasuryConfig(top_up=(top_up,)),
        )
        if top_up is fine:
            assert any("funding pays for gas" in line for line in check_relayer(config))
            assert any("former retires" in line for line in check_relayer(config))
            continue
        with pytest.raises(RejectedError, match=said):
            verified(config)


def locks_on(path: Path) -> set[str]:
    """The POSIX locks that this process has on a file, as /proc/locks (proc_locks(5)) shows them."""
    found, inode = set(), f":{path.stat().st_ino}"
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if "POSIX" in fields and fields[fields.index("POSIX") + 3] == str(os.getpid()) and inode in line:
            found.add(" ".join(fields[fields.index("POSIX") :]))
    return found


async def test_keys_of_a_reload_leave_the_databases_locks(written: Path) -> None:
    """Whoever opens and closes the file in the daemon lets go of SQLite's locks: a command would then end its log."""
    rotation.rotate(written, ETHEREUM.id, Successor())
    file, database = written.parent / "relayer.sqlite", open_database(f"sqlite:///{written.parent}/relayer.sqlite")
    try:
        await database.write(create_schema)
        await database.read(orders.waiting)
        before = locks_on(file)
        assert before
        config = load(written, RelayerConfig)
        keys = await asyncio.to_thread(_keys, config, written.parent, named_keys)
        assert "ethereum-2" in keys.names()
        assert locks_on(file) == before
        with pytest.raises(RejectedError, match="no key called"):
            _keys(msgspec.structs.replace(config, quote_key="other"), written.parent, named_keys)
    finally:
        await database.close()
