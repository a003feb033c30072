"""An organisation's application: who it is, its public keys and what it asks for, signed by every one of those keys.

It is the only thing that an organisation gives to others in order to found a chain or to join one. The signed bytes are

    "causeway application v1" 00 ‖ MessagePack array of all members but format and signatures, in their order

by ed25519 (RFC 8032, as accounts sign), and with a secp256k1eth consensus key as CometBFT's validators sign. The second
byte of a vote is 08 (CometBFT `CanonicalVote` behind its length), so neither can pass for the other.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from core.model.consortium import address
from core.model.consortium_members import MAX_POWER, ROLES
from core.model.errors import RejectedError
from core.proofs.cometbft.sign_bytes import verify_quickly
from core.proofs.cometbft.types import KeyKind, PublicKey
from core.proofs.errors import MalformedProofError
from core.runtime.files import read_small
from local_chains.consortium.engine.home import require_chain_id
from local_chains.consortium.ledger.bank import MAX_DECIMALS
from local_chains.consortium.ledger.context import Refusal, require_name

FORMAT: Final = "causeway application v1"
MAX_APPLICATION_BYTES: Final = 64 * 1024
MAX_ASKED_ASSETS: Final = 16
MAX_TIME_MS: Final = 2**43
"""In the year 2248: no machine's clock is so wrong."""
OTHER_ROLES: Final = ROLES[:-1]
"""The roles that an application lists; its power says if it is a validator, too."""

ACCOUNT, ATTESTOR, CONSENSUS, NODE = "account", "attestor", "consensus", "node"
"""The duties of keys. Each has a key of its own."""

_HOST: Final = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9.]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:]{2,39}\])"
_PLACE: Final = re.compile(rf"({_HOST}):([0-9]{{1,5}})")

_Text = Annotated[str, Meta(max_length=300)]


class AskedAsset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An asset that exists from the start, with the applicant's account as its issuer."""

    symbol: _Text
    decimals: Annotated[int, Meta(ge=0, le=MAX_DECIMALS)]


class Terms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed part. Keys are hex in lower case.

    `account` (pays and votes), `attestor` (attests foreign headers) and `node_key` (peers know the node by it) are
    ed25519 public keys. `power` 0 asks for no validator; the node has a consensus key all the same. `node` is the
    `HOST:PORT` at which peers reach it.
    """

    chain_id: _Text
    made_ms: Annotated[int, Meta(ge=0, le=MAX_TIME_MS)]
    name: _Text
    roles: Annotated[tuple[_Text, ...], Meta(max_length=len(OTHER_ROLES))]
    power: Annotated[int, Meta(ge=0, le=MAX_POWER)]
    account: _Text
    attestor: _Text
    key_kind: _Text
    key: _Text
    node_key: _Text
    node: _Text
    assets: Annotated[tuple[AskedAsset, ...], Meta(max_length=MAX_ASKED_ASSETS)] = ()

    @property
    def consensus_key(self) -> PublicKey:
        return PublicKey(KeyKind(self.key_kind), bytes.fromhex(self.key))

    @property
    def account_address(self) -> bytes:
        """The 20-byte address of the account that pays and votes."""
        return address(bytes.fromhex(self.account))

    @property
    def attestor_address(self) -> bytes:
        """The 20-byte address of the account that attests."""
        return address(bytes.fromhex(self.attestor))

    @property
    def peer(self) -> str:
        """`ID@HOST:PORT`, as CometBFT names a peer."""
        return f"{_ed25519(self.node_key).address.hex()}@{self.node}"


class _File(Terms, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file: the terms, and each key's signature in hex by its duty."""

    format: str
    signatures: Annotated[dict[str, _Text], Meta(max_length=4)]


def signed_bytes(terms: Terms) -> bytes:
    """The bytes that each of the four keys signs."""
    members = [getattr(terms, name) for name in Terms.__struct_fields__]
    members[-1] = [(one.symbol, one.decimals) for one in terms.assets]
    return FORMAT.encode() + b"\0" + msgspec.msgpack.encode(members)


def encode_application(terms: Terms, signatures: Mapping[str, bytes]) -> bytes:
    """The file: JSON, for people to read. `signatures` are by duty."""
    shown = {duty: signature.hex() for duty, signature in sorted(signatures.items())}
    document = {"format": FORMAT, **msgspec.structs.asdict(terms), "signatures": shown}
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def load_application(path: Path) -> Terms:
    """The terms of an application that is signed as it should be.

    Raise `FatalError` for a file that cannot be read or is too large, `RejectedError` with its name for one that is
    not to be taken.
    """
    raw = read_small(path, MAX_APPLICATION_BYTES, "the application")
    try:
        return parse_application(raw)
    except RejectedError as error:
        raise RejectedError(f"{path}: {error.message}") from None


def parse_application(raw: bytes) -> Terms:
    """Raise `RejectedError` for bytes of another form, terms that no chain takes, and a wrong signature."""
    try:
        file = msgspec.json.decode(raw, type=_File)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RejectedError(f"this is not an application as `causeway chain init` makes it: {error}") from None
    if file.format != FORMAT:
        raise RejectedError(f"its format is {file.format[:80]!r}: this Causeway reads {FORMAT!r}")
    terms = Terms(*(getattr(file, name) for name in Terms.__struct_fields__))
    require_terms(terms)
    for duty, key in keys_of(terms).items():
        # Strictly, unlike votes by ZIP-215: for a key of small order everybody can sign.
        if not verify_quickly(key, signed_bytes(terms), _bytes(file.signatures.get(duty, ""))):
            raise RejectedError(f"the signature of its {duty} key is wrong: ask {terms.name} for the file again")
    return terms


def keys_of(terms: Terms) -> dict[str, PublicKey]:
    """The public keys by duty."""
    return {
        ACCOUNT: _ed25519(terms.account),
        ATTESTOR: _ed25519(terms.attestor),
        CONSENSUS: terms.consensus_key,
        NODE: _ed25519(terms.node_key),
    }


def require_terms(terms: Terms) -> None:
    """Raise `RejectedError` for terms that no chain takes, whoever else is on it."""
    require_chain_id(terms.chain_id)
    try:
        require_name(terms.name, "organisation's name")
        for asset in terms.assets:
            require_name(asset.symbol, "symbol")
    except Refusal as refusal:
        raise RejectedError(refusal.message) from None
    if tuple(role for role in OTHER_ROLES if role in terms.roles) != terms.roles:
        raise RejectedError(f"its roles are some of {', '.join(OTHER_ROLES)}, in this order; power makes a validator")
    if not terms.power and not terms.roles:
        raise RejectedError("it asks for neither power nor a role: add --power or --role")
    if terms.assets and "issuer" not in terms.roles:
        raise RejectedError("only an issuer brings assets: add --role issuer")
    try:
        keys = keys_of(terms)
        # Taking the address decompresses the point, which fails if there is none.
        _ = [key.address for key in keys.values()]
    except (ValueError, MalformedProofError):
        raise RejectedError(
            f"a key is 32 bytes of ed25519 in hex, a consensus key one of kind {' or '.join(KeyKind)}"
        ) from None
    written = [terms.account, terms.attestor, terms.key, terms.node_key]
    if [key.data.hex() for key in keys.values()] != written:
        raise RejectedError("its keys are hex digits in lower case")
    if len(set(written)) != len(written):
        raise RejectedError("one key has two duties: make a key for each")
    require_place(terms.node)


def require_place(text: str) -> tuple[str, int]:
    """(host, port) of `HOST:PORT`; an IPv6 address stands in brackets. Raise `RejectedError`."""
    match = _PLACE.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65_536:
        raise RejectedError(f"{text[:80]!r} is not where peers reach a node: write HOST:PORT, such as a.example:26656")
    return match[1], int(match[2])


def _ed25519(text: str) -> PublicKey:
    return PublicKey(KeyKind.ED25519, bytes.fromhex(text))


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
