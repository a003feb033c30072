"""The bytes that CometBFT hashes and signs, member by member, and how far a signature may stray from its form."""

import contextlib
import itertools

import pytest
from coincurve import PublicKey as Secp256k1PublicKey

from core.proofs.cometbft import encoding, hashing, sign_bytes, signing
from core.proofs.cometbft.types import (
    EMPTY_COMMIT,
    GO_ZERO_TIME,
    NIL_BLOCK_ID,
    Block,
    BlockId,
    Commit,
    KeyKind,
    LightClientAttackEvidence,
    PartSetHeader,
    PublicKey,
    Timestamp,
    TxResult,
    Vote,
    VoteKind,
)
from core.proofs.ed25519 import verify_ed25519
from core.proofs.keccak import keccak256
from core.proofs.protobuf import decode_fields
from tests.core.proofs.chains import ToyChain, validator_keys

CHAIN = ToyChain(validator_keys(3, KeyKind.ED25519))
FIRST = CHAIN.produce()
MEMBERS = FIRST.validators.validators
SECP = signing.public_key_of(KeyKind.SECP256K1_ETH, b"\x07" * 32)


def numbers(message: bytes) -> list[int]:
    return [field.number for field in decode_fields(message)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (VoteKind.PRECOMMIT, "2108021101000000000000001901000000000000002a0b088092b8c398feffffff01"),
        (VoteKind.PREVOTE, "2108011101000000000000001901000000000000002a0b088092b8c398feffffff01"),
    ],
)
def test_vote_for_nil_is_signed_as_in_cometbfts_vectors(kind: VoteKind, expected: str) -> None:
    """`TestVoteSignBytesTestVectors` of CometBFT's types/vote_test.go."""
    assert sign_bytes.vote_sign_bytes("", 1, 1, NIL_BLOCK_ID, GO_ZERO_TIME, kind).hex() == expected


def test_vote_is_signed_for_its_chain() -> None:
    """As the vector with a chain id, which has no kind of vote."""
    expected = "3008021101000000000000001901000000000000002a0b088092b8c398feffffff01" + "320d" + b"test_chain_id".hex()
    assert sign_bytes.vote_sign_bytes("test_chain_id", 1, 1, NIL_BLOCK_ID, GO_ZERO_TIME).hex() == expected
    vote = Vote(VoteKind.PRECOMMIT, 1, 1, NIL_BLOCK_ID, GO_ZERO_TIME, bytes(20), 2, b"", b"", b"")
    assert sign_bytes.single_vote_sign_bytes("test_chain_id", vote).hex() == expected


def test_vote_for_a_block_names_it_between_round_and_time() -> None:
    """`cometbft.types.v1.CanonicalVote`: type, height, round, block id, time, chain id are its members 1 to 6."""
    chosen = BlockId(b"\x0a" * 32, PartSetHeader(1, b"\x0b" * 32))
    block_id = "0a20" + "0a" * 32 + "1224" + "0801" + "1220" + "0b" * 32
    nil, named = (sign_bytes.vote_sign_bytes("c", 1, 1, one, Timestamp(7)).hex() for one in (NIL_BLOCK_ID, chosen))
    assert nil == "1b" + "0802" + "11" + "01" + "00" * 7 + "19" + "01" + "00" * 7 + "2a020807" + "320163"
    assert named == "65" + nil[2:42] + "2248" + block_id + nil[42:]


def test_consensus_hash_is_that_of_published_headers() -> None:
    """Every chain with CometBFT's former default of 21 MiB blocks and no limit of gas has this in its headers."""
    expected = "048091BC7DDC283F77BFBF91D73C44DA58C3DF8A9CBC867405D8B7F3DAADA22F"
    assert hashing.consensus_hash(22_020_096, -1).hex().upper() == expected


def test_commit_has_height_round_block_and_entries() -> None:
    """`cometbft.types.v1.Commit`; an empty block id has an empty part set."""
    assert encoding.encode_commit(Commit(5, 3, NIL_BLOCK_ID, ())).hex() == "08051003" + "1a021200"
    assert numbers(encoding.encode_commit(FIRST.commit)) == [1, 3, 4, 4, 4]


def test_vote_ends_with_its_extension_and_the_signature_of_it() -> None:
    """`cometbft.types.v1.Vote`."""
    vote = Vote(VoteKind.PRECOMMIT, 5, 1, NIL_BLOCK_ID, Timestamp(7), bytes(20), 2, b"\x03", b"\x04", b"\x05")
    assert encoding.encode_vote(vote).endswith(bytes.fromhex("3802" + "420103" + "4a0104" + "520105"))
    assert numbers(encoding.encode_vote(vote)) == list(range(1, 11))


def test_result_has_its_code_data_and_gas() -> None:
    """`cometbft.abci.v1.ExecTxResult`, of which log, info, events and codespace are left out."""
    whole = TxResult(code=1, data=b"\x02", gas_wanted=3, gas_used=4)
    assert encoding.encode_tx_result(whole).hex() == "0801" + "120102" + "2803" + "3004"
    assert encoding.encode_tx_result(TxResult()) == b""


def test_attack_names_everybody_who_took_part() -> None:
    """`cometbft.types.v1.LightClientAttackEvidence`: its members follow each other with nothing in between."""
    attack = LightClientAttackEvidence(FIRST, None, 3, MEMBERS[:2], 30, Timestamp(9))
    assert numbers(encoding.encode_light_client_attack(attack)) == [1, 2, 3, 3, 4, 5]
    (block, *_) = decode_fields(encoding.encode_light_client_attack(attack))
    assert isinstance(block.value, bytes)
    (_, members) = decode_fields(block.value)
    assert isinstance(members.value, bytes)
    assert numbers(members.value) == [1, 1, 1]


def test_block_holds_its_transactions_and_nothing_in_between() -> None:
    block = encoding.encode_block(Block(FIRST.header, (b"one", b"", b"two"), (), EMPTY_COMMIT))
    [data] = [field.value for field in decode_fields(block) if field.number == 2]
    assert isinstance(data, bytes)
    assert data.hex() == "0a03" + b"one".hex() + "0a00" + "0a03" + b"two".hex()


# --- signatures ------------------------------------------------------------------------------------------------------


def test_ethereum_signature_has_65_bytes_and_a_parity() -> None:
    message = b"a vote"
    signature = signing.sign(KeyKind.SECP256K1_ETH, b"\x07" * 32, message)
    assert sign_bytes.verify_signature(SECP, message, signature)
    for other in (signature[:64], signature + b"\0", b"", *(signature[:64] + bytes([v]) for v in (2, 3, 4, 27, 28))):
        assert sign_bytes.recover_secp256k1_eth(keccak256(message), other) is None
        assert not sign_bytes.verify_signature(SECP, message, other)


def test_signature_of_a_point_beyond_the_order_is_refused() -> None:
    """A parity of 2 or 3 says that R's x is beyond the group's order. secp256k1 recovers those, Ethereum does not."""
    digest, recovered = keccak256(b"a vote"), 0
    for r, parity in itertools.product(range(1, 20), (2, 3)):
        signature = r.to_bytes(32, "big") + bytes(31) + b"\1" + bytes([parity])
        with contextlib.suppress(Exception):
            Secp256k1PublicKey.from_signature_and_message(signature, digest, hasher=None)
            recovered += 1
        assert sign_bytes.recover_secp256k1_eth(digest, signature) is None
    assert recovered > 0


def test_signature_s_reaches_half_of_the_order_and_no_further() -> None:
    """Any s recovers some key. EIP-2 takes it up to half of the order, that one included."""
    digest, r = keccak256(b"a vote"), signing.sign(KeyKind.SECP256K1_ETH, b"\x07" * 32, b"a vote")[:32]
    for s, taken in ((0, True), (1, False)):
        signature = r + (sign_bytes.SECP256K1_HALF_ORDER + s).to_bytes(32, "big") + b"\0"
        assert (sign_bytes.recover_secp256k1_eth(digest, signature) is not None) is taken


def test_ed25519_key_and_signature_of_another_length_are_refused() -> None:
    """libsodium takes no length: past the end of a short key it reads other memory."""
    seed = b"\x07" * 32
    key, signature = signing.public_key_of(KeyKind.ED25519, seed).data, signing.sign(KeyKind.ED25519, seed, b"m")
    assert verify_ed25519(key, b"m", signature)
    keys = (key[:-1], key + b"\0", b"")
    signatures = (signature[:-1], signature + b"\0", b"")
    for one, other in itertools.chain(((short, signature) for short in keys), ((key, short) for short in signatures)):
        assert not verify_ed25519(one, b"m", other)
    # The bytes that are signed begin with the signature's own: a byte that moves over belongs to neither.
    assert not verify_ed25519(key, b"", signature + b"m")
    assert not verify_ed25519(key, signature[63:] + b"m", signature[:63])


def test_key_of_the_other_kind_verifies_nothing() -> None:
    ed25519 = signing.sign(KeyKind.ED25519, b"\x07" * 32, b"m")
    assert not sign_bytes.verify_signature(SECP, b"m", ed25519)
    other = PublicKey(KeyKind.ED25519, SECP.data[1:])
    assert not sign_bytes.verify_signature(other, b"m", signing.sign(KeyKind.SECP256K1_ETH, b"\x07" * 32, b"m"))
