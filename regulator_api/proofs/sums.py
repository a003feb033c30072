"""Figures computed again from their rows and compared with what an answer says. Pure: both sides run it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Final

from core.model.errors import RejectedError
from core.model.types import AssetId, Height
from indexer.projections.balances import SUPPLY_PARTS, summed_supply
from indexer.projections.conservation import PARTS, summed
from regulator_api import audit, bodies
from regulator_api.proofs.claims import NATIVE, amount_of, differs, raw_hash
from regulator_api.reading import bodies as reading
from regulator_api.reading.figures import MILLION, Crossing, Dealing, corridors
from regulator_api.reading.figures import added_up as added_up_dealings
from regulator_api.view.activity import PARTS as WAYS
from regulator_api.view.activity import Movement, added_up

Row = list[str | int | None]
Rows = Sequence[Row]
MAX_ROWS: Final = 50_000


def sha256_hex(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def _texts(row: Row, *kinds: type) -> list[str]:
    """The members of a row, as text. Raise `RejectedError` for a row of another form."""
    if len(row) != len(kinds) or not all(isinstance(one, kind) for one, kind in zip(row, kinds, strict=True)):
        raise RejectedError(f"a row is not in its form: {str(row)[:120]!a}")
    return [str(one) for one in row]


def supply_fault(answer: reading.SupplyAnswer, rows: Rows) -> str:
    """Rows: part, account of a holding, base units."""
    parts = [
        (part, account, amount_of(amount)) for part, account, amount in (_texts(row, str, str, str) for row in rows)
    ]
    if any(part not in SUPPLY_PARTS for part, _, _ in parts):
        raise RejectedError(f"parts of a supply are {', '.join(SUPPLY_PARTS)}")
    if len(held := [account for part, account, _ in parts if part == "held"]) != len(set(held)):
        raise RejectedError("an account holds the asset twice")
    found = summed_supply(AssetId(answer.asset), Height(0), parts)
    said = (answer.issued, answer.burned, answer.held, answer.locked, answer.in_flight)
    sums = found.issued, found.burned, found.held, found.locked, found.in_swaps
    residual = None if NATIVE in answer.asset else str(found.residual)
    return differs("the supply", sums, tuple(amount_of(one.base_units) for one in said)) or differs(
        "the residual", residual, answer.residual
    )


def conservation_fault(answer: bodies.ConservationAnswer, rows: Rows) -> str:
    """Rows: part, base units."""
    return _conserved(answer, [_texts(row, str, str) for row in rows])


def _conserved(answer: bodies.ConservationAnswer, rows: Sequence[Sequence[str]]) -> str:
    if any(part not in PARTS for part, _ in rows):
        raise RejectedError(f"parts of conservation are {', '.join(PARTS)}")
    found = summed(AssetId(answer.asset), Height(0), ((part, amount_of(amount)) for part, amount in rows))
    for name in PARTS[:-1]:
        total, said = getattr(found, name), getattr(answer, name)
        if fault := differs(name, (total.count, total.amount), (said.count, amount_of(said.base_units))):
            return fault
    covered = answer.holder_balance is None or amount_of(answer.holder_balance) >= found.open.amount
    return differs("unmatched", found.unmatched, answer.unmatched_settlements) or differs(
        "ok", found.adds_up and covered, answer.ok
    )


def summary_fault(answer: bodies.SummaryAnswer, rows: Rows) -> str:
    """Rows: `swap` or `lock`, its name, its status; and an asset, a part, base units."""
    texts = [_texts(row, str, str, str) for row in rows]
    for kind, said in (("swap", answer.swaps), ("lock", answer.locks)):
        named = [(name, status) for what, name, status in texts if what == kind]
        if len({name for name, _ in named}) != len(named):
            raise RejectedError(f"a {kind} is there twice")
        if fault := differs(f"the number of {kind}s", dict(Counter(status for _, status in named)), said):
            return fault
    for one in answer.conservation:
        if fault := _conserved(one, [(part, amount) for what, part, amount in texts if what == one.asset]):
            return f"{one.asset}: {fault}"
    return differs("conservation_ok", all(one.ok for one in answer.conservation), answer.conservation_ok)


def partners_fault(answer: reading.PartnersAnswer, rows: Rows) -> str:
    """Rows: time, direction, other party or null, asset, base units; the newest first."""
    dealt = []
    for row in rows:
        if len(row) == 5 and row[2] is None:
            time_s, direction, _, asset, amount = _texts(row, int, str, type(None), str, str)
            other = None
        else:
            time_s, direction, other, asset, amount = _texts(row, int, str, str, str, str)
        dealt.append(Dealing(int(time_s), direction, other, asset, amount_of(amount)))
    found = added_up_dealings(dealt)
    shown = [
        (one.account, one.asset, one.received, str(one.received_amount), one.sent, str(one.sent_amount), one.first_s,
         one.last_s) for one in found[: len(answer.items)]
    ]  # fmt: skip
    said = [
        (one.account, one.amount_received.asset, one.received, one.amount_received.base_units, one.sent,
         one.amount_sent.base_units, one.first_s, one.last_s) for one in answer.items
    ]  # fmt: skip
    return (
        differs("the list of counterparties", shown, said)
        or differs("the number of moves", len(dealt), answer.moves)
        or differs("more", len(found) > len(answer.items), answer.more)
    )


def holdings_fault(answer: reading.HoldingsAnswer, rows: Rows) -> str:
    """Rows: account, asset, base units."""
    sums: Counter[str] = Counter()
    for account, asset, amount in (_texts(row, str, str, str) for row in rows):
        if account not in answer.accounts:
            raise RejectedError(f"{account[:80]} is not an account of {answer.id}")
        sums[asset] += amount_of(amount)
    said = {one.amount.asset: one.amount.base_units for one in answer.balances}
    return differs("what the accounts hold", {asset: str(amount) for asset, amount in sums.items()}, said)


def activity_fault(answer: reading.ActivityAnswer, rows: Rows) -> str:
    """Rows: as `regulator_api.view.inputs.of_activity` says, all within the answer's span of time."""
    moved, crossed, opened = list[Movement](), list[Crossing](), dict[str, str]()
    for row in rows:
        match row[0] if row else None:
            case "crossed":
                _, given_asset, given, taken_asset, taken, time_s = _texts(row, str, str, str, str, str, int)
                at_s = int(time_s)
                crossed.append(Crossing(given_asset, taken_asset, amount_of(given), amount_of(taken), at_s))
            case "swap":
                _, name, status = _texts(row, str, str, str)
                if name in opened:
                    raise RejectedError("a swap is there twice")
                opened[name] = status
                continue
            case _:
                part, asset, amount, time_s = _texts(row, str, str, str, int)
                if part not in WAYS:
                    raise RejectedError(f"parts of activity are {', '.join(WAYS)}, crossed and swap")
                at_s = int(time_s)
                moved.append(Movement(part, asset, amount_of(amount), at_s))
        if not answer.since_s <= at_s <= answer.until_s:
            return f"a row of second {at_s} is out of the span"
    sums = [
        (asset, *((getattr(of, part).count, getattr(of, part).base_units) for part in WAYS))
        for asset, of in added_up(moved).items()
    ]
    said = [
        (one.asset, *((getattr(one, part).count, amount_of(getattr(one, part).amount.base_units)) for part in WAYS))
        for one in answer.assets
    ]
    ways = [
        (one.given.asset, one.taken.asset, one.swaps, amount_of(one.given.base_units), amount_of(one.taken.base_units))
        for one in answer.corridors
    ]
    return (
        differs("what moved of each asset", sums, said)
        or differs("the corridors", [tuple(one) for one in corridors(crossed)], ways)
        or differs("the number of swaps", dict(Counter(opened.values())), answer.swaps)
    )


def velocity_fault(answer: reading.SeriesAnswer, rows: Rows) -> str:
    """Rows: account, base units; none if the velocity is not said."""
    held = sum(amount_of(amount) for _, amount in (_texts(row, str, str) for row in rows))
    volume = amount_of(answer.volume.base_units)
    return differs("the velocity", volume * MILLION // held if held > 0 else None, answer.velocity_ppm)


def audit_fault(answer: bodies.AuditPage, rows: Rows) -> str:
    """Rows: the hash of the entry before each."""
    before = [raw_hash(one) for (one,) in (_texts(row, str) for row in rows)]
    if len(before) != len(answer.items):
        raise RejectedError("there is one row for each entry of the log")
    known = {one.seq: one.hash for one in answer.items}
    for one, previous in zip(answer.items, before, strict=True):
        access = audit.Access(
            time_ns=amount_of(one.time_ns),
            who=one.who,
            method=one.method,
            what=one.what,
            purpose=one.purpose,
            request_id=one.request_id,
            status=one.status,
            answer_sha256=raw_hash(one.answer_sha256),
            case_id=one.case,
        )
        if audit.entry_hash(one.seq, access, previous).hex() != one.hash:
            return f"entry {one.seq} is not what its hash says"
        if known.get(one.seq - 1, previous.hex()) != previous.hex():
            return f"entry {one.seq} does not follow the one before it"
    return ""
