"""Makes `docs/dapps/vectors.json`: cases by which any client checks its encodings. `python -m tests.kit.vectors`."""

import asyncio
import hashlib
import json
import random
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from nacl.signing import SigningKey

from adapters.consortium.chain import ConsortiumParameters
from adapters.ed25519_openings import Ed25519OpeningProofs
from adapters.evm.endpoints import Endpoints
from adapters.evm.legs import EvmLegBuilder
from adapters.evm.openings import EvmOpeningProofs
from adapters.evm.signing import LocalSigner
from core.model.consortium import (
    Claim,
    Lock,
    Message,
    Refund,
    Transaction,
    TransactionBody,
    Transfer,
    address,
    caip_account,
    encode_transaction,
    quantity,
    sign_bytes,
)
from core.model.errors import GateClosedError
from core.model.openings import Opening
from core.model.ports import ChainTiming
from core.model.transactions import UnsignedTransaction
from core.model.types import (
    AccountId,
    AssetId,
    BaseUnits,
    ChainId,
    ChainTime,
    Hashlock,
    LockTerms,
    Preimage,
    Seconds,
)
from core.proofs.lanes import Lane, lane_lock_id, settled_word
from htlc import timelocks
from htlc.model import swap_id
from htlc.timelocks import DEVNET_POLICY, PRODUCTION_POLICY
from relayer.api import wire
from relayer.provider.quoting import Quote, Rate, quote_bytes, sign_quote

PATH: Final = Path(__file__).resolve().parents[2] / "docs/dapps/vectors.json"
SEED: Final = 20_261_129
CASES: Final = 24
EVM: Final = ChainId("eip155:31337")
LEDGER: Final = ChainId("causeway:devnet-1")
CONTRACT: Final = bytes.fromhex("5fbdb2315678afecb367f032d93f642f64180aa3")
TOKEN: Final = AssetId(f"{EVM}/erc20:0x{'e7' * 20}")
ETHER: Final = AssetId(f"{EVM}/slip44:60")
YUAN: Final = AssetId(f"{LEDGER}/asset:cnyd")
GENESIS: Final = hashlib.sha256(b"a genesis block").digest()
NOW_S: Final = 1_790_000_000
TIMING: Final = ChainTiming(*(Seconds(1),) * 6)
AMOUNTS: Final = (1, 100, 10**17 + 1, 2**53 + 1, 2**64 - 1, 2**64, 10**27 + 7, 2**256 - 1)


def made() -> str:
    """Return the text of the file; the same each time."""
    source = random.Random(SEED)
    document = {
        "about": "Cases for clients of Causeway: docs/dapps/ledger-transactions.md and api.md say what they are. "
        "Made by `python -m tests.kit.vectors`; the keys are worthless.",
        "ledger_transactions": [_transaction(source) for _ in range(CASES)],
        "ledger_consents": [_ledger_consent(source) for _ in range(4)],
        "ethereum_calls": [call for _ in range(CASES // 2) for call in _calls(source)],
        "ethereum_openings": [_typed_opening(source) for _ in range(4)],
        "quotes": [_quote(source) for _ in range(CASES // 2)],
        "swap_ids": [_swap(source) for _ in range(CASES)],
        "gates": [_gate(source) for _ in range(4 * CASES)],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _bytes(source: random.Random, size: int) -> bytes:
    return source.randbytes(size)


def _transaction(source: random.Random) -> dict[str, Any]:
    key = SigningKey(_bytes(source, 32))
    amount, other, preimage = source.choice(AMOUNTS), _bytes(source, 20), _bytes(source, 32)
    hashlock = hashlib.sha256(preimage).digest()
    timelock = source.choice((1, 127, 128, NOW_S, 2**33))
    shown: list[tuple[Message, dict[str, Any]]] = [
        (
            Lock("cnyd", quantity(amount), other, hashlock, timelock),
            {
                "type": "htlc/lock",
                "asset": "cnyd",
                "amount": str(amount),
                "receiver": other.hex(),
                "hashlock": hashlock.hex(),
                "timelock": timelock,
            },
        ),
        (Claim(other, preimage), {"type": "htlc/claim", "sender": other.hex(), "preimage": preimage.hex()}),
        (Refund(other, hashlock), {"type": "htlc/refund", "sender": other.hex(), "hashlock": hashlock.hex()}),
        (
            Transfer("a-b.c", other, quantity(amount)),
            {"type": "bank/transfer", "asset": "a-b.c", "receiver": other.hex(), "amount": str(amount)},
        ),
    ]
    chosen = source.sample(shown, source.randint(1, len(shown)))
    body = TransactionBody(
        LEDGER.partition(":")[2],
        bytes(key.verify_key),
        source.choice((0, 127, 128, 70_000)),
        source.choice((20, 255, 256, 2**32)),
        tuple(message for message, _ in chosen),
    )
    raw = encode_transaction(Transaction(body, key.sign(sign_bytes(body)).signature))
    return {
        "seed": bytes(key).hex(),
        "account": caip_account(LEDGER, address(bytes(key.verify_key))),
        "chain": LEDGER,
        "sequence": str(body.sequence),
        "expiry_height": str(body.expiry_height),
        "messages": [fields for _, fields in chosen],
        "sign_bytes": sign_bytes(body).hex(),
        "transaction": raw.hex(),
        "hash": hashlib.sha256(raw).hexdigest(),
    }


def _account(source: random.Random, chain: ChainId) -> AccountId:
    name = _bytes(source, 20).hex()
    return AccountId(f"{chain}:0x{name}" if chain == EVM else f"{chain}:{name}")


def _terms(source: random.Random, chain: ChainId, lock: bytes) -> LockTerms:
    return LockTerms(
        asset=source.choice((ETHER, TOKEN)) if chain == EVM else YUAN,
        amount=BaseUnits(source.choice(AMOUNTS)),
        sender=_account(source, chain),
        receiver=_account(source, chain),
        hashlock=Hashlock(lock),
        timelock=ChainTime(chain, NOW_S + source.randint(0, 10**6)),
    )


def _shown(terms: LockTerms) -> dict[str, Any]:
    return cast(dict[str, Any], msgspec.to_builtins(wire.terms_body(terms)))


def _calls(source: random.Random) -> list[dict[str, Any]]:
    builder = EvmLegBuilder(EVM, cast(Endpoints, None), CONTRACT)
    preimage = _bytes(source, 32)
    terms = _terms(source, EVM, hashlib.sha256(preimage).digest())
    sender = bytes.fromhex(terms.sender.rpartition(":0x")[2])
    lane = Lane(sender, source.choice((0, 1, 2**32 - 1)), source.choice((0, 1, 65_535)))
    place = lane_lock_id(lane)
    built: dict[str, UnsignedTransaction] = {
        "lock": builder.lock(terms, place),
        "claim": builder.claim(terms, place, Preimage(preimage), terms.receiver),
        "refund": builder.refund(terms, place, terms.sender),
    }
    rows = []
    for act, transaction in built.items():
        body = json.loads(transaction.body)
        rows.append(
            {
                "act": act,
                "contract": f"{EVM}:0x{CONTRACT.hex()}",
                "terms": _shown(terms),
                "place": place,
                "preimage": preimage.hex(),
                "to": body["to"],
                "value": body["value"],
                "data": body["data"],
                "locked_word": hex(settled_word(terms, lane) + 1),
            }
        )
    return rows


def _opening(source: random.Random, account: AccountId) -> tuple[Opening, dict[str, Any]]:
    lock, relayer = _bytes(source, 32), _bytes(source, 32)
    here, there = (EVM, LEDGER) if account.startswith(EVM) else (LEDGER, EVM)
    opening = Opening(
        account=account,
        relayer=relayer,
        quote_id=_bytes(source, 16).hex(),
        hashlock=Hashlock(lock),
        given_asset=ETHER if here == EVM else YUAN,
        given_amount=BaseUnits(source.choice(AMOUNTS)),
        given_to=_account(source, here),
        wanted_asset=YUAN if here == EVM else ETHER,
        wanted_amount=BaseUnits(source.choice(AMOUNTS)),
        wanted_to=_account(source, there),
        expires_at=NOW_S,
    )
    quote = {
        "key": wire.hex_of(relayer),
        "id": opening.quote_id,
        "initiator_asset": opening.given_asset,
        "initiator_amount": str(opening.given_amount),
        "participant_receiver": opening.given_to,
        "participant_asset": opening.wanted_asset,
        "participant_amount": str(opening.wanted_amount),
        "expires_at": opening.expires_at,
    }
    return opening, {"quote": quote, "hashlock": lock.hex(), "receiver": opening.wanted_to}


def _ledger_consent(source: random.Random) -> dict[str, Any]:
    key = SigningKey(_bytes(source, 32))
    opening, shown = _opening(source, caip_account(LEDGER, address(bytes(key.verify_key))))
    ledger = ConsortiumParameters(LEDGER, GENESIS, TIMING, {}, b"")
    payload = Ed25519OpeningProofs(ledger, lambda raw: caip_account(LEDGER, address(raw))).message(opening).payload
    proof = bytes(key.verify_key) + key.sign(payload).signature
    return {"seed": bytes(key).hex(), "genesis_hash": GENESIS.hex(), **shown, "proof": wire.hex_of(proof)}


def _typed_opening(source: random.Random) -> dict[str, Any]:
    secret = _bytes(source, 32)
    signer = LocalSigner(EVM, secret)
    opening, shown = _opening(source, signer.account)
    message = EvmOpeningProofs(EVM, cast(Endpoints, None), CONTRACT).message(opening)
    proof = asyncio.run(signer.consent(message))
    return {
        "key": secret.hex(),
        "contract": f"{EVM}:0x{CONTRACT.hex()}",
        **shown,
        "proof": wire.hex_of(proof),
    }


def _quote(source: random.Random) -> dict[str, Any]:
    key = SigningKey(_bytes(source, 32))
    quote = sign_quote(
        Quote(
            id=_bytes(source, 16).hex(),
            initiator_asset=ETHER,
            initiator_amount=BaseUnits(source.choice(AMOUNTS)),
            participant_asset=YUAN,
            participant_amount=BaseUnits(source.choice(AMOUNTS)),
            rate=Rate(source.choice(AMOUNTS), source.choice(AMOUNTS)),
            participant_receiver=_account(source, EVM),
            participant_sender=_account(source, LEDGER),
            initiator_lock_s=Seconds(source.randint(60, 10**5)),
            participant_lock_s=Seconds(source.randint(60, 10**5)),
            issued_at=NOW_S,
            expires_at=NOW_S + 30,
            key=bytes(key.verify_key),
        ),
        key,
    )
    body = msgspec.to_builtins(wire.quote_body(quote))
    return {"quote": body, "signed_bytes": quote_bytes(quote).hex(), "now_s": NOW_S}


def _swap(source: random.Random) -> dict[str, Any]:
    lock = _bytes(source, 32)
    chains = [EVM, LEDGER]
    source.shuffle(chains)
    one, other = (_terms(source, chain, lock) for chain in chains)
    return {"initiator": _shown(one), "participant": _shown(other), "id": swap_id(one, other)}


def _gate(source: random.Random) -> dict[str, Any]:
    a, b = (ChainTiming(*(Seconds(source.randint(1, 900)) for _ in range(6))) for _ in range(2))
    policy = source.choice((PRODUCTION_POLICY, DEVNET_POLICY))
    gate = source.choice(("lock", "gap", "reveal"))
    needs = {
        "lock": sum(timelocks.quote_terms(a, b, policy).values()) - policy.lock_s,
        "gap": sum(timelocks.gap_terms(a, b, policy).values()),
        "reveal": sum(timelocks.reveal_terms(b, policy).values()),
    }[gate]
    # About half of the cases stand within a second of the bound, where a client that errs shows it.
    t_b = ChainTime(LEDGER, NOW_S + needs + source.choice((-1, 0, 1, 2, source.randint(-5_000, 5_000))))
    t_a = ChainTime(EVM, t_b.seconds + needs + source.choice((-1, 0, 1, 2, source.randint(-5_000, 5_000))))
    closed = False
    try:
        if gate == "lock":
            timelocks.check_lock(NOW_S, t_b, a, b, policy)
        elif gate == "gap":
            timelocks.check_gap(t_a, t_b, a, b, policy)
        else:
            timelocks.check_reveal(NOW_S, t_b, b, policy)
    except GateClosedError:
        closed = True
    names = ("block_time_s", "inclusion_s", "finality_s", "observation_s", "lead_s", "lag_s")
    timing = [{name: getattr(one, name) for name in names} for one in (a, b)]
    return {
        "gate": gate,
        "now_s": NOW_S,
        "t_a": t_a.seconds,
        "t_b": t_b.seconds,
        "a": timing[0],
        "b": timing[1],
        "policy": msgspec.to_builtins(policy),
        "closed": closed,
    }


if __name__ == "__main__":
    PATH.write_text(made(), encoding="utf-8")
