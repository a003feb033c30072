"""Applications, the genesis file made of them, and an organisation's home."""

import itertools
import json
import random
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.consortium import address
from core.model.consortium_members import MAX_POWER
from core.model.errors import CausewayError, FatalError, RejectedError
from core.proofs.cometbft.signing import sign
from core.proofs.cometbft.types import KeyKind
from local_chains.consortium.engine.home import (
    OperatorKey,
    ValidatorKey,
    load_consensus_key,
    load_operator_key,
    parse_genesis,
)
from local_chains.consortium.founding import application as applications
from local_chains.consortium.founding.application import (
    ACCOUNT,
    ATTESTOR,
    CONSENSUS,
    MAX_APPLICATION_BYTES,
    NODE,
    AskedAsset,
    Terms,
    encode_application,
    load_application,
    parse_application,
    signed_bytes,
)
from local_chains.consortium.founding.collecting import MAX_AHEAD_MS, found
from local_chains.consortium.founding.organisation import (
    Wanted,
    load_own_terms,
    make_organisation,
    place_genesis,
    read_genesis,
    set_config,
)
from local_chains.consortium.ledger.admission import Standing, standing
from local_chains.consortium.ledger.genesis import genesis_writes

NOW_MS = 1_700_000_000_000


class Keys:
    """Four keys of one organisation, the same for the same number."""

    def __init__(self, number: int, kind: KeyKind = KeyKind.SECP256K1_ETH) -> None:
        seeds = [bytes([number, duty]) * 16 for duty in range(1, 5)]
        self.account, self.attestor = OperatorKey(seeds[0]), OperatorKey(seeds[1])
        self.consensus, self.node = ValidatorKey(kind, seeds[2]), ValidatorKey(KeyKind.ED25519, seeds[3])

    def terms(self, called: str, **changes: Any) -> Terms:
        consensus = self.consensus.public_key
        terms = Terms(
            chain_id="test-1",
            made_ms=NOW_MS,
            name=called,
            roles=(),
            power=10,
            account=self.account.public_key.hex(),
            attestor=self.attestor.public_key.hex(),
            key_kind=consensus.kind.value,
            key=consensus.data.hex(),
            node_key=self.node.public_key.data.hex(),
            node=f"{called}.example:26656",
        )
        return msgspec.structs.replace(terms, **changes)

    def signatures(self, terms: Terms) -> dict[str, bytes]:
        message = signed_bytes(terms)
        return {
            ACCOUNT: sign(KeyKind.ED25519, self.account.seed, message),
            ATTESTOR: sign(KeyKind.ED25519, self.attestor.seed, message),
            CONSENSUS: sign(self.consensus.kind, self.consensus.secret, message),
            NODE: sign(KeyKind.ED25519, self.node.secret, message),
        }

    def application(self, called: str, **changes: Any) -> bytes:
        terms = self.terms(called, **changes)
        return encode_application(terms, self.signatures(terms))


def founders(count: int = 4, **changes: Any) -> list[Terms]:
    return [parse_application(Keys(number).application(f"bank-{number}", **changes)) for number in range(count)]


# --- applications ---


def test_application_says_what_was_signed() -> None:
    keys = Keys(1)
    read = parse_application(keys.application("bank-1", roles=("issuer",), assets=(AskedAsset("cnyd", 2),)))
    assert read == keys.terms("bank-1", roles=("issuer",), assets=(AskedAsset("cnyd", 2),))
    assert read.account_address == keys.account.address
    assert read.peer == f"{keys.node.public_key.address.hex()}@bank-1.example:26656"


@pytest.mark.parametrize("duty", [ACCOUNT, ATTESTOR, CONSENSUS, NODE])
@pytest.mark.parametrize("kind", list(KeyKind))
def test_application_signed_by_three_of_four_keys_is_refused(duty: str, kind: KeyKind) -> None:
    keys, other = Keys(1, kind), Keys(2, kind)
    terms = keys.terms("bank-1")
    good = keys.signatures(terms)
    parse_application(encode_application(terms, good))
    for wrong in (other.signatures(terms)[duty], good[duty][:-1], b"", bytes(len(good[duty]))):
        with pytest.raises(RejectedError, match=f"signature of its {duty} key is wrong"):
            parse_application(encode_application(terms, {**good, duty: wrong}))
    with pytest.raises(RejectedError, match=f"signature of its {duty} key is wrong"):
        parse_application(encode_application(terms, {name: good[name] for name in good if name != duty}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"chain_id": "has space"}, "cannot be a chain id"),
        ({"chain_id": "causeway:test-1"}, "cannot be a chain id"),
        ({"chain_id": "x" * 33}, "cannot be a chain id"),
        ({"chain_id": ""}, "cannot be a chain id"),
        ({"chain_id": "tést"}, "cannot be a chain id"),
        ({"name": "Bank"}, "organisation's name matches"),
        ({"name": "bank/1"}, "organisation's name matches"),
        ({"name": "b" * 65}, "organisation's name matches"),
        ({"power": -1}, "power"),
        ({"power": MAX_POWER + 1}, "power"),
        ({"power": 0}, "neither power nor a role"),
        ({"roles": ("validator",)}, "its roles are some of"),
        ({"roles": ("regulator", "issuer")}, "in this order"),
        ({"roles": ("issuer", "issuer")}, "in this order"),
        ({"assets": (AskedAsset("cnyd", 2),)}, "add --role issuer"),
        ({"roles": ("issuer",), "assets": (AskedAsset("CNYD", 2),)}, "symbol matches"),
        ({"node": "a.example"}, "HOST:PORT"),
        ({"node": "a.example:0"}, "HOST:PORT"),
        ({"node": "a.example:65536"}, "HOST:PORT"),
        ({"node": 'a"\nb:1'}, "HOST:PORT"),
        ({"node": "a,b:1"}, "HOST:PORT"),
        ({"node": "0@a.example:1"}, "HOST:PORT"),
        ({"made_ms": -1}, "made_ms"),
        ({"key_kind": "rsa"}, "a consensus key one of kind"),
        ({"key": "00" * 33}, "a consensus key one of kind"),
        ({"account": "00"}, "32 bytes of ed25519"),
        ({"account": Keys(1).account.public_key.hex().upper()}, "lower case"),
        ({"attestor": Keys(1).account.public_key.hex()}, "two duties"),
        ({"node_key": Keys(1).account.public_key.hex()}, "two duties"),
    ],
)
def test_application_for_what_no_chain_takes_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RejectedError, match=sentence):
        parse_application(Keys(1).application("bank-1", **changes) if "key" not in changes else unsigned(changes))


def unsigned(changes: dict[str, Any]) -> bytes:
    return encode_application(Keys(1).terms("bank-1", **changes), {})


def test_key_of_small_order_signs_for_nobody() -> None:
    """ZIP-215 takes a signature by the neutral element for every message; an application is held to more."""
    neutral = (1).to_bytes(32, "little")
    terms = Keys(1).terms("bank-1", account=neutral.hex())
    forged = {**Keys(1).signatures(terms), ACCOUNT: neutral + bytes(32)}
    with pytest.raises(RejectedError, match="account key is wrong"):
        parse_application(encode_application(terms, forged))


def test_any_changed_byte_of_an_application_is_noticed() -> None:
    raw = Keys(1).application("bank-1", roles=("issuer",), assets=(AskedAsset("cnyd", 2),))
    terms = parse_application(raw)
    rng = random.Random(1)
    for _ in range(300):
        place = rng.randrange(len(raw))
        changed = raw[:place] + bytes([raw[place] ^ 1 << rng.randrange(7)]) + raw[place + 1 :]
        try:
            # Only what says the same, such as another case of a signature's hex or white space, may pass.
            assert parse_application(changed) == terms
        except RejectedError:
            continue


@given(
    st.binary(max_size=300)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_no_bytes_at_all_break_an_application(raw: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_application(raw)


@pytest.mark.parametrize(
    "raw", [b"[" * 60_000, b'{"power":' + b"9" * 60_000 + b"}", b'{"name":"' + b"x" * 60_000 + b'"}']
)
def test_hostile_application_is_refused_shortly(raw: bytes) -> None:
    with pytest.raises(RejectedError) as refused:
        parse_application(raw)
    assert len(refused.value.message) < 500


def test_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "application.json"
    path.write_bytes(Keys(1).application("bank-1") + b" " * MAX_APPLICATION_BYTES)
    with pytest.raises(FatalError, match=f"more than {MAX_APPLICATION_BYTES} bytes"):
        load_application(path)
    path.write_bytes(b"{}")
    with pytest.raises(RejectedError, match=r"application\.json: this is not an application"):
        load_application(path)


def test_signed_bytes_are_no_votes() -> None:
    """A vote's bytes begin with their length and then 08 (CometBFT CanonicalVote)."""
    assert signed_bytes(Keys(1).terms("bank-1"))[1:2] != b"\x08"
    assert signed_bytes(Keys(1).terms("bank-1")).startswith(b"causeway application v1\0")


# --- the genesis file ---


def test_genesis_is_the_same_in_whatever_order_it_is_made() -> None:
    everybody = [
        *founders(3),
        parse_application(Keys(9).application("regulator", power=0, roles=("regulator",), made_ms=NOW_MS + 5_000)),
    ]
    made = {found(order, NOW_MS).genesis.raw for order in itertools.permutations(everybody)}
    assert len(made) == 1
    genesis = parse_genesis(made.pop())
    assert genesis.time.to_nanos() == (NOW_MS + 5_000) * 1_000_000
    assert [one.name for one in genesis.app_state.operators] == ["bank-0", "bank-1", "bank-2"]
    assert [(one.name, one.roles) for one in genesis.app_state.members] == [("regulator", ("regulator",))]


def test_genesis_state_knows_attestors_and_issuers_assets() -> None:
    one = parse_application(Keys(1).application("bank-1", roles=("issuer",), assets=(AskedAsset("cnyd", 2),)))
    genesis = found([*founders(1), one], NOW_MS).genesis
    [asset] = genesis.app_state.assets
    assert (asset.symbol, asset.issuer, asset.decimals) == ("cnyd", one.account_address.hex(), 2)
    leaves = {key: leaf for key, leaf in genesis_writes(genesis.app_state, NOW_MS).items() if leaf is not None}
    assert leaves[b"bridge/attestor/" + one.account_address] == one.attestor_address
    assert leaves[b"bridge/attests-for/" + one.attestor_address] == one.account_address

    class View:
        def get(self, key: bytes) -> bytes | None:
            return leaves.get(key)

    assert standing(View(), one.attestor_address) is Standing.ADMITTED


def others(**changes: Any) -> list[Terms]:
    return [*founders(2), Keys(7).terms("late", **changes)]


@pytest.mark.parametrize(
    ("applications", "sentence"),
    [
        ([], "1 to 1000 organisations"),
        (others(name="bank-1"), "bank-1 and bank-1 have the same name"),
        ([*founders(2), founders(2)[0]], "bank-0 and bank-0 have the same name"),
        (others(account=Keys(0).terms("x").account), "bank-0 and late have a key in common"),
        (others(account=Keys(0).terms("x").attestor), "bank-0 and late have a key in common"),
        (others(attestor=Keys(1).terms("x").node_key), "bank-1 and late have a key in common"),
        (others(key=Keys(1).terms("x").key), "bank-1 and late have a key in common"),
        (others(node="BANK-1.example:26656"), "bank-1 and late have their nodes at the same address"),
        (others(chain_id="test-2"), "'test-1', late with 'test-2': agree on one"),
        (others(made_ms=NOW_MS + MAX_AHEAD_MS + 60_000), "late applied 11 minutes from now"),
        ([Keys(7).terms("late", power=0, roles=("notary",))], "1 to 100 validators, these are 0"),
        (
            [Keys(n).terms(f"i{n}", roles=("issuer",), assets=(AskedAsset("cnyd", n),)) for n in (1, 2)],
            "i1 and i2 have an asset of the same symbol",
        ),
        ([*founders(1), Keys(7, KeyKind.ED25519).terms("late")], "'secp256k1eth', late with 'ed25519'"),
        ([Keys(n).terms(f"v{n}") for n in range(101)], "1 to 100 validators, these are 101"),
    ],
)
def test_founders_that_cannot_be_together_are_named(applications: list[Terms], sentence: str) -> None:
    with pytest.raises(RejectedError, match=sentence):
        found(applications, NOW_MS)


def test_whoever_can_stop_the_chain_alone_is_named() -> None:
    assert found(founders(4), NOW_MS).indispensable == ()
    large = Keys(7).terms("large", power=20)
    assert found([*founders(4), large], NOW_MS).indispensable == ("large",)


# --- a home ---


def wanted(**changes: Any) -> Wanted:
    return Wanted(**{"chain_id": "test-1", "name": "bank-a", "node": "a.example:26656", "made_ms": NOW_MS, **changes})


def test_home_has_a_key_for_each_duty_and_a_good_application(tmp_path: Path) -> None:
    home = tmp_path / "bank-a"
    terms = make_organisation(home, wanted())
    assert terms == load_application(home / "application.json") == load_own_terms(home)
    assert load_consensus_key(home / "priv_validator_key.json").public_key == terms.consensus_key
    assert load_operator_key(home / "operator_key.json").address == terms.account_address
    assert load_operator_key(home / "attestor_key.json").address == terms.attestor_address
    secret = ["priv_validator_key.json", "operator_key.json", "attestor_key.json", "config/node_key.json"]
    assert {(home / name).stat().st_mode & 0o777 for name in secret} == {0o600}
    assert home.stat().st_mode & 0o777 == 0o700
    with pytest.raises(RejectedError, match="made once"):
        make_organisation(home, wanted())


def test_home_that_could_not_apply_is_not_made(tmp_path: Path) -> None:
    for changes in ({"chain_id": "a b"}, {"name": "A"}, {"node": "nowhere"}, {"power": MAX_POWER + 1}):
        with pytest.raises(RejectedError):
            make_organisation(tmp_path / "home", wanted(**changes))
        assert not (tmp_path / "home").exists()


def test_home_whose_key_was_replaced_is_refused(tmp_path: Path) -> None:
    make_organisation(tmp_path / "a", wanted())
    make_organisation(tmp_path / "b", wanted(name="bank-b"))
    for name, duty in (("attestor_key.json", "attestor"), ("priv_validator_key.json", "consensus")):
        kept = (tmp_path / "a" / name).read_bytes()
        (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
        with pytest.raises(FatalError, match=f"the {duty} key"):
            load_own_terms(tmp_path / "a")
        (tmp_path / "a" / name).write_bytes(kept)
    assert load_own_terms(tmp_path / "a").name == "bank-a"


def test_genesis_of_another_hash_or_over_another_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "bank-a"
    mine = make_organisation(home, wanted())
    genesis = found([mine, *founders(3)], NOW_MS).genesis
    other = found([mine, *founders(2)], NOW_MS).genesis
    (tmp_path / "genesis.json").write_bytes(genesis.raw)
    with pytest.raises(RejectedError, match=f"hash is {genesis.hash.hex()}, agreed was {other.hash.hex()}"):
        read_genesis(tmp_path / "genesis.json", other.hash.hex())
    agreed = read_genesis(tmp_path / "genesis.json", genesis.hash.hex().upper() + "\n")
    place_genesis(home, agreed)
    place_genesis(home, agreed)
    with pytest.raises(RejectedError, match="another chain's"):
        place_genesis(home, other)
    assert (home / "config" / "genesis.json").read_bytes() == genesis.raw


def test_config_keeps_what_somebody_else_wrote(tmp_path: Path) -> None:
    home = tmp_path / "bank-a"
    make_organisation(home, wanted(node="[2001:db8::1]:26656"))
    path = home / "config" / "config.toml"
    text = path.read_text().replace("[rpc]", "# mine\n[rpc]\ncors_allowed_origins = []")
    path.write_text(text)
    set_config(
        home,
        {("p2p", "persistent_peers"): "id@host:1", ("statesync", "enable"): True, ("statesync", "trust_height"): 7},
    )
    changed = tomllib.loads(path.read_text())
    assert changed["p2p"]["persistent_peers"] == "id@host:1"
    assert (changed["statesync"]["enable"], changed["statesync"]["trust_height"]) == (True, 7)
    assert changed["p2p"]["external_address"] == "[2001:db8::1]:26656"
    before = tomllib.loads(text)
    before["p2p"]["persistent_peers"], before["statesync"] = "id@host:1", changed["statesync"]
    assert changed == before
    assert "# mine" in path.read_text()
    set_config(home, {("p2p", "persistent_peers"): 'a"\n[rpc]\nladdr = "evil'})
    assert tomllib.loads(path.read_text())["rpc"] == before["rpc"]
    with pytest.raises(RejectedError, match="by hand"):
        set_config(home, {("p2p", "nothing"): "x"})


def test_address_of_a_key_is_the_ledgers() -> None:
    assert applications.keys_of(Keys(1).terms("x"))[ACCOUNT].address == address(Keys(1).account.public_key)


@given(st.binary(max_size=200))
def test_no_bytes_of_a_genesis_file_break_its_reader(raw: bytes) -> None:
    with pytest.raises(CausewayError):
        parse_genesis(raw)
