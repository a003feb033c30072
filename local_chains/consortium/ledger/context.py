"""The context of every module's handler, and the way it refuses."""

import re
from typing import Final, NoReturn

import msgspec

from core.model.consortium import ADDRESS_BYTES, NAME_PATTERN, LedgerEvent, ResultCode, value_of
from core.model.errors import RejectedError
from local_chains.consortium.ledger.view import Overlay

MS_PER_S: Final = 1_000
"""Timelocks and deadlines are in seconds, ledger time is in milliseconds."""
_NAME = re.compile(NAME_PATTERN)


class Refusal(RejectedError):
    """A transaction ends with this result code; nothing it did so far remains."""

    def __init__(self, result: ResultCode, sentence: str) -> None:
        super().__init__(f"{result.word}: {sentence}")
        self.result = result


class Context(msgspec.Struct, gc=False):
    """One transaction on its way: the state it may write, who signed it, ledger time, events so far, the chain."""

    state: Overlay
    sender: bytes
    height: int
    time_ms: int
    events: list[LedgerEvent] = []
    chain_id: str = ""


def refuse(result: ResultCode, sentence: str) -> NoReturn:
    raise Refusal(result, sentence)


def require_address(raw: bytes, whose: str) -> None:
    if len(raw) != ADDRESS_BYTES:
        refuse(ResultCode.BAD_ADDRESS, f"the {whose} is an address of {ADDRESS_BYTES} bytes, not {len(raw)}")


def positive_amount(raw: bytes) -> int:
    """An amount that something can be done with."""
    try:
        amount = value_of(raw)
    except RejectedError as error:
        refuse(ResultCode.BAD_AMOUNT, error.message)
    if not amount:
        refuse(ResultCode.BAD_AMOUNT, "an amount is at least 1")
    return amount


def require_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        refuse(ResultCode.BAD_NAME, f"a {what} matches {NAME_PATTERN}")
