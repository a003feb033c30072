"""The bodies that travel between a dApp and a relayer: msgspec Structs, shared by the API and the client.

Amounts are decimal strings of base units, bytes 0x-hex, identifiers CAIP, times Unix seconds. Requests refuse fields
that they do not know; answers may grow fields, so a client ignores what it does not know.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from core.model.openings import MAX_PROOF_BYTES
from core.model.types import MAX_DECIMALS, MAX_IDENTIFIER_CHARS, MAX_TIMELOCK_S
from core.runtime.deliveries import DeliveryStatus
from htlc.model import Leg, LegStatus, Phase, Role
from relayer.api.subscription_bodies import PushBody
from relayer.notices.addresses import MAX_URL_CHARS
from relayer.provider.desk import MAX_PAGE
from relayer.switches import Cause

DEFAULT_PAGE: Final = 50
MAX_IDS: Final = 50
"""Swaps that one call asks for by their ids: more would not fit into a path."""
MAX_UNIX_S: Final = MAX_TIMELOCK_S

Amount = Annotated[
    str, msgspec.Meta(pattern="^[1-9][0-9]{0,77}$", description="Base units, a positive decimal number below 2^256.")
]
AmountOrNothing = Annotated[
    str, msgspec.Meta(pattern="^(0|[1-9][0-9]{0,77})$", description="Base units, a decimal number below 2^256.")
]
Hex32 = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-f]{64}$", description="32 bytes.")]
Hex64 = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-f]{128}$", description="64 bytes.")]
Proof = Annotated[
    str,
    msgspec.Meta(
        pattern="^0x([0-9a-f]{2})+$",
        max_length=2 + 2 * MAX_PROOF_BYTES,
        description="The signature of initiator_sender over the opening, by its chain's rules (docs/dapps/api.md).",
    ),
]
Hex = Annotated[str, msgspec.Meta(pattern="^0x([0-9a-f]{2})*$", max_length=2 + 2 * 64)]
Hex20 = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-f]{40}$", description="20 bytes.")]
Data = Annotated[str, msgspec.Meta(pattern="^0x([0-9a-f]{2})*$", description="Bytes.")]
Quantity = Annotated[str, msgspec.Meta(pattern="^0x(0|[1-9a-f][0-9a-f]{0,63})$", description="A number in hex.")]

# Patterns of identifiers are documented, and not what refuses: `core.model.identifiers` says in words what is wrong.
_CHAIN: Final = "[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}"
Chain = Annotated[
    str,
    msgspec.Meta(
        max_length=41, description="CAIP-2, such as eip155:31337.", extra_json_schema={"pattern": f"^{_CHAIN}$"}
    ),
]
Account = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_IDENTIFIER_CHARS,
        description="CAIP-10, such as eip155:31337:0xab….",
        extra_json_schema={"pattern": f"^{_CHAIN}:[-.%a-zA-Z0-9]{{1,128}}$"},
    ),
]
AssetName = Annotated[
    str,
    msgspec.Meta(
        max_length=MAX_IDENTIFIER_CHARS,
        description="CAIP-19, such as eip155:31337/slip44:60.",
        extra_json_schema={
            "pattern": f"^{_CHAIN}/[-a-z0-9]{{3,8}}:[-_.%a-zA-Z0-9]{{1,128}}(/[-.%a-zA-Z0-9]{{1,78}})?$"
        },
    ),
]
Unix = Annotated[
    int,
    msgspec.Meta(ge=0, le=MAX_UNIX_S, description="A time in Unix seconds.", extra_json_schema={"format": "int64"}),
]
UnixFraction = Annotated[float, msgspec.Meta(ge=0, description="A time in Unix seconds, with fractions.")]
Duration = Annotated[
    int,
    msgspec.Meta(ge=0, le=MAX_UNIX_S, description="A duration in seconds.", extra_json_schema={"format": "int64"}),
]
BlockHeight = Annotated[int, msgspec.Meta(ge=0, description="A block.", extra_json_schema={"format": "int64"})]
Count = Annotated[int, msgspec.Meta(ge=0, extra_json_schema={"format": "int64"})]
_NAME: Final = {"pattern": "^[0-9a-f]{32}$"}
SwapName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="A swap's id, 16 bytes.", extra_json_schema=_NAME)
]
QuoteName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=64, description="A quote's id, 16 bytes.", extra_json_schema=_NAME)
]
LockName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER_CHARS, description="A lock's id on its chain.")
]
PairName = Annotated[str, msgspec.Meta(min_length=1, max_length=2 * MAX_IDENTIFIER_CHARS + 2)]


# --- chains ------------------------------------------------------------------------------------------------------


class BlockBody(msgspec.Struct, frozen=True, kw_only=True):
    """One block. `time` is the one in its header."""

    height: BlockHeight
    hash: Hex
    time: Unix


class TimingBody(msgspec.Struct, frozen=True, kw_only=True):
    """The allowances behind timelocks, in seconds: worst inclusion, finality, observation, and how far the chain's
    time may run ahead of or behind true time."""

    block_time_s: Duration
    inclusion_s: Duration
    finality_s: Duration
    observation_s: Duration
    lead_s: Duration
    lag_s: Duration


class AssetBody(msgspec.Struct, frozen=True, kw_only=True):
    """`decimals` shifts base units to the asset's own unit."""

    id: AssetName
    symbol: str
    decimals: Annotated[int, msgspec.Meta(ge=0, le=MAX_DECIMALS)]


class ChainBody(msgspec.Struct, frozen=True, kw_only=True):
    """A chain as the relayer sees it. `head`, `finalized` and `lag_s` (how old the head is, by the relayer's clock) are
    null while it is not `reachable`. `htlc_holder` is the contract that keeps locks, null if the ledger does;
    `htlc_code_hash` the code hash that an honest one has."""

    id: Chain
    genesis_hash: Hex
    reachable: bool
    head: BlockBody | None
    finalized: BlockBody | None
    lag_s: Duration | None
    timing: TimingBody
    htlc_holder: Account | None
    htlc_code_hash: Hex
    assets: tuple[AssetBody, ...]


# --- pairs and quotes --------------------------------------------------------------------------------------------


class GivenRate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rate in a quote that a caller gives back."""

    numerator: Amount
    denominator: Amount


class RateBody(GivenRate, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Participant base units per initiator base unit, as a fraction."""


class LimitsBody(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the initiator's amount, inclusive."""

    minimum: Amount
    maximum: Amount


class PauseBody(msgspec.Struct, frozen=True, kw_only=True):
    """Why a pair is not offered now. `cause` is a word, `reason` a sentence; `until` (Unix seconds) is null if nobody
    knows."""

    cause: Cause
    reason: str
    until: Unix | None


class PairBody(msgspec.Struct, frozen=True, kw_only=True):
    """One direction that is traded: the initiator locks `initiator`, the relayer answers with `participant`. `rate` is
    before `fee` (base units of `participant`, for each swap) and before the premium that a quote takes off for the time
    of its lock. `hash` changes with anything of it but `pause`, which is null while the pair is offered."""

    id: PairName
    hash: Hex32
    initiator_chain: Chain
    initiator: AssetBody
    participant_chain: Chain
    participant: AssetBody
    rate: RateBody
    limits: LimitsBody
    fee: AmountOrNothing = "0"
    pause: PauseBody | None = None


class ExposureLimitsBody(msgspec.Struct, frozen=True, kw_only=True):
    """The most of one asset that open swaps may be promised: in all, to one counterparty, and in swaps whose timelocks
    fall into one window (`window_s`, seconds)."""

    total: AmountOrNothing
    per_counterparty: AmountOrNothing
    per_window: AmountOrNothing
    window_s: int


class ExposureBody(msgspec.Struct, frozen=True, kw_only=True):
    """One asset that the relayer pays out: `promised` to open swaps now, `locked` the part of it that is on chain
    already, `swaps` their number. `limits` and `left` are null if the inventory alone bounds it; `left` is what may
    still be promised in all. Who the counterparties are is not shown."""

    chain: Chain
    asset: AssetBody
    promised: AmountOrNothing
    locked: AmountOrNothing
    swaps: int
    limits: ExposureLimitsBody | None
    left: AmountOrNothing | None


class RelayerBody(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers here. `quote_key` is the ed25519 public key that its quotes are signed with: pin it."""

    name: str
    version: str
    quote_key: Hex32
    watchtower: bool


class QuoteCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ask for a price: exactly one of the two amounts. With `pair_hash` (of `/v1/pairs`) a pair that has changed since
    is refused. `initiator_sender` and `initiator_receiver`: your accounts, so that a relayer that makes no swap with
    them says so now and not at the opening."""

    initiator_asset: AssetName
    participant_asset: AssetName
    initiator_amount: Amount | None = None
    participant_amount: Amount | None = None
    pair_hash: Hex32 | None = None
    initiator_sender: Account | None = None
    initiator_receiver: Account | None = None


class GivenQuote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A quote as a caller gives it back."""

    id: QuoteName
    initiator_asset: AssetName
    initiator_amount: Amount
    participant_asset: AssetName
    participant_amount: Amount
    rate: GivenRate
    participant_receiver: Account
    participant_sender: Account
    initiator_lock_s: Duration
    participant_lock_s: Duration
    issued_at: Unix
    expires_at: Unix
    key: Hex32
    signature: Hex64


class QuoteBody(GivenQuote, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A signed, expiring price. The relayer is paid at `participant_receiver` and locks from `participant_sender`.

    The swap's timelocks will lie about `initiator_lock_s` and `participant_lock_s` seconds ahead of its opening.
    `signature` is ed25519 by `key` over the canonical form of the other fields that are there today
    (docs/dapps/api.md).
    """

    rate: RateBody


# --- swaps -------------------------------------------------------------------------------------------------------


class SwapCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Agree on a swap: the quote as it was given, the hashlock (SHA-256 of the initiator's 32-byte preimage), the
    account that locks on the initiator's chain, and the one that is paid on the participant's. With `proof`, and the
    funds on that account, the relayer keeps its part for the lock; without, nothing is kept before it is final."""

    quote: GivenQuote
    hashlock: Hex32
    initiator_sender: Account
    initiator_receiver: Account
    proof: Proof | None = None


class GivenTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One leg's terms as a caller gives them."""

    chain: Chain
    asset: AssetName
    amount: Amount
    sender: Account
    receiver: Account
    hashlock: Hex32
    timelock: Unix


class TermsBody(GivenTerms, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Everything that one leg commits to. A claim is valid strictly before `timelock`, a refund from then on, both by
    the time of `chain`."""


class PlaceBody(msgspec.Struct, frozen=True, kw_only=True):
    """The block and transaction of a lock, a claim or a refund on its chain. `confirmations` are the blocks on top,
    inclusive, null if the relayer knows no head of the chain; `final` is by the chain's own rule."""

    height: BlockHeight
    block_hash: Hex
    tx_hash: Hex
    final: bool
    confirmations: Count | None = None


class LegBody(msgspec.Struct, frozen=True, kw_only=True):
    """One leg as the relayer knows it. Believe the chain, not this: `holder`, `lock_id` and `terms` are what to ask it
    about."""

    terms: TermsBody
    holder: Account | None
    status: LegStatus
    lock_id: LockName | None
    lock: PlaceBody | None
    settle: PlaceBody | None


class SwapBody(msgspec.Struct, frozen=True, kw_only=True):
    """A swap as the relayer's state machine has it. `done`: nothing will follow. `preimage` is null until a chain has
    shown it. The initiator locks before `lock_deadline` or not at all. `version` grows with every change. `reserved`:
    the relayer keeps its part of this swap now; `reservation` says in a sentence until when, or why not.
    `expected_at`: about when it is done if everybody acts at once, null once it is; an estimate."""

    id: SwapName
    quote_id: QuoteName | None
    role: Role
    hashlock: Hex32
    phase: Phase
    done: bool
    reason_code: str | None
    reason: str | None
    initiator: LegBody
    participant: LegBody
    preimage: Hex32 | None
    lock_deadline: Unix
    created_at: UnixFraction
    updated_at: UnixFraction
    version: Count
    reserved: bool = False
    reservation: str | None = None
    expected_at: Unix | None = None


class SwapsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which swaps; everything given must hold. `id`, any number of times up to 50, asks for these, and leaves out those
    that are not there. `before` continues behind a swap's id."""

    id: Annotated[list[SwapName], msgspec.Meta(max_length=MAX_IDS)] = []
    done: bool | None = None
    phase: Phase | None = None
    hashlock: Hex32 | None = None
    account: Account | None = None
    before: SwapName | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE


class WatchCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Both legs of a swap between two other parties, exactly as they agreed on them."""

    initiator: GivenTerms
    participant: GivenTerms


# --- transactions for wallets ------------------------------------------------------------------------------------


Act = Literal["lock", "claim", "refund", "early-refund"]
Step = Literal["lock", "claim", "refund", "early-refund", "approve"]


class TransactionCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which transaction of a swap. `leg` is the usual one if it is left out: the initiator's for `lock` and `refund`,
    the participant's for `claim` and `early-refund`. `sender` pays for it: anybody may send a claim or a refund. On
    the consortium chain `public_key` is the sender's ed25519 key."""

    act: Act
    leg: Leg | None = None
    sender: Account | None = None
    public_key: Hex32 | None = None


class AccessBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of an EIP-2930 access list."""

    address: Hex20
    storage_keys: tuple[Hex32, ...] = ()


class EvmCallBody(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"sender": "from", "chain_id": "chainId", "access_list": "accessList"},
):
    """A transaction as `eth_sendTransaction` takes it; the wallet adds nonce and fees. Quantities are hex."""

    chain_id: Quantity
    sender: Hex20
    to: Hex20
    value: Quantity
    data: Data
    gas: Quantity
    access_list: tuple[AccessBody, ...] = ()


class LedgerTransactionBody(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of the consortium chain. The account's ed25519 key signs `sign_bytes`; what is broadcast is
    `92 ‖ body ‖ c440 ‖ signature` (docs/dapps/api.md), to be included up to `expiry_height`."""

    sequence: Count
    expiry_height: BlockHeight
    sign_bytes: Data
    body: Data


class WalletTransactionBody(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction, unsigned. `act` is what was asked for, or `approve`, which lets the contract take a token and
    comes before a lock: ask again once it is included. It can succeed from `valid_from` on and before `valid_before`,
    by the time of `chain`. `preimage_at` is where the 32 bytes of a secret preimage go, counted in bytes from the start
    of `evm.data`, `ledger.sign_bytes` or `other`, null if nothing is missing. One of `evm`, `ledger` and `other` (the
    chain's own encoding) is there."""

    act: Step
    leg: Leg
    chain: Chain
    sender: Account
    lock_id: LockName
    summary: str
    valid_from: Unix | None
    valid_before: Unix | None
    preimage_at: Count | None
    evm: EvmCallBody | None
    ledger: LedgerTransactionBody | None
    other: Data | None


# --- accounts ------------------------------------------------------------------------------------------------


class ChallengeCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account whose holder asks."""

    account: Account


class ChallengeBody(msgspec.Struct, frozen=True, kw_only=True):
    """The statement that the account signs, good once and before `expires_at`: `typed_data` is for
    `eth_signTypedData_v4` (null on other chains), `message` the bytes that a key signs for the same."""

    account: Account
    challenge: Hex32
    expires_at: Unix
    message: Data
    typed_data: dict[str, Any] | None


class RestoreCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The challenge with the account's proof over it, for the account's swaps."""

    account: Account
    challenge: Hex32
    proof: Proof


class RestoredBody(msgspec.Struct, frozen=True, kw_only=True):
    """All swaps of an account, the newest first. `more`: older ones are left out, ask /v1/swaps for them."""

    account: Account
    swaps: tuple[SwapBody, ...]
    more: bool


class WebhookCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The address that hears of the swap, and the proof of the account that locks on its initiator's leg."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_URL_CHARS)]
    account: Account
    challenge: Hex32
    proof: Proof


HookName = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra_json_schema=_NAME)]


class WebhookBody(msgspec.Struct, frozen=True, kw_only=True):
    """A registered webhook. `secret` is shown once: it signs what is posted, and opens the log."""

    id: HookName
    swap_id: SwapName
    url: str
    secret: str


class MessageBody(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a webhook: how often it was tried, when it is next, and why the last try failed."""

    id: str
    body: str
    status: DeliveryStatus
    attempts: Count
    next_at: UnixFraction | None
    reason: str | None


class WebhookLogBody(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook with its newest messages, the newest first, at most 50."""

    id: HookName
    swap_id: SwapName
    url: str
    created_at: UnixFraction
    messages: tuple[MessageBody, ...]


# --- the WebSocket -----------------------------------------------------------------------------------------------


class SocketCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`op` is `subscribe`, `unsubscribe` or `ping`; `args` are swap ids, or `*` for every swap; on the channel
    `answer.update` they are ids of subscriptions."""

    op: str
    channel: str | None = None
    args: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], ...] = ()


class SocketAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`event` is `subscribe` or `unsubscribe` (`args`: what is subscribed now), `update` (`swaps`, or `answers` of a
    subscription), `end` (of a subscription, with its `reason`), `pong`, or `error` with a problem document."""

    event: str
    channel: str | None = None
    args: tuple[str, ...] = ()
    swaps: tuple[SwapBody, ...] = ()
    answers: tuple[PushBody, ...] = ()
    reason: str | None = None
    problem: dict[str, object] | None = None
