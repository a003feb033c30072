"""The price of work, and how much of it a transaction and a block may ask for.

A price depends on a transaction's bytes, on how many assets there are (an account's leaf holds them all) and on how
many operators vote, as the state before the block has them. So CheckTx, proposer, validators and execution come to the
same price without executing anything. It is CometBFT's gas. No unit takes more than 70 ns of one core of the machine on
which this was measured last (`tests/local_chains/consortium/dear_blocks.py`): every price covers the dearest case of
its kind, if the signature is not known yet, the leaves are as large as they may be, and all of them are hashed. So the
dearest block takes 0.8 s there, and most blocks a fraction of their price.
"""

from collections.abc import Callable
from typing import Final

from core.model.consortium import (
    ASSETS,
    AnswerQuery,
    Appoint,
    AskQuery,
    AttestHeader,
    Burn,
    Claim,
    CreateAsset,
    ExpireQuery,
    Issue,
    Lock,
    Refund,
    ReportEquivocation,
    SetAccess,
    Transaction,
    Transfer,
    WriteRecord,
)
from core.model.consortium_members import MAX_VOIDED, Admit, Propose, Vote
from core.model.consortium_orders import MAX_PREPARED, ApproveLift, ApproveOrder, PrepareLift, PrepareOrder
from local_chains.consortium.ledger.leaves import read_operators
from local_chains.consortium.ledger.sequences import length
from local_chains.consortium.ledger.view import StateView

MAX_TRANSACTION_COST: Final = 600_000
MAX_BLOCK_COST: Final = 12_000_000
MAX_BLOCK_ENTRIES: Final = 10_000
"""Entries of a block, its clock included; none costs less than 1/10,000 of a block."""

ENTRY_COST: Final = 800
"""Decoding, the gates, the signature, the result."""
BYTES_PER_UNIT: Final = 4
LEAF_COST: Final = 250
"""One leaf read, written, hashed and stored."""
UNITS_PER_ASSET: Final = 2
"""An account's leaf holds an amount of each."""
DOCUMENT_UNITS_PER_BYTE: Final = 4
"""JSON of nothing but brackets and names is the dearest."""
OPERATOR_COST: Final = 400
"""An operator's open votes, read and written."""
CHANGE_COST: Final = 800 * MAX_VOIDED
"""A proposal that passes ends others about the same organisation."""
WAITING_COST: Final = 100 * MAX_PREPARED
"""An officer's orders that wait for a second one, each read."""

PROOF_UNITS_PER_BYTE: Final = 4
"""Of an answer to a query, or of attestations that contradict each other. Many tiny items are the dearest."""
URI_UNITS_PER_CHARACTER: Final = 12
"""Of a query: it is read and written again."""
QUERY_COST: Final = 4_000
"""Reading the question, the header and the answer of a query."""


class Tariff:
    """The prices at one state."""

    __slots__ = ("_account", "_of_message")

    def __init__(self, state: StateView) -> None:
        self._account = LEAF_COST + UNITS_PER_ASSET * length(state, ASSETS)
        operators = len(read_operators(state))
        self._of_message = {kind: price(self._account, operators) for kind, price in _PRICES.items()}

    def of(self, raw: bytes, transaction: Transaction) -> int:
        """The cost of a transaction, whose bytes are `raw`, whatever becomes of it."""
        cost = ENTRY_COST + len(raw) // BYTES_PER_UNIT + self._account
        for message in transaction.body.messages:
            cost += self._of_message[type(message)]
            if type(message) is WriteRecord:
                cost += DOCUMENT_UNITS_PER_BYTE * len(message.document)
            elif type(message) is AnswerQuery:
                cost += PROOF_UNITS_PER_BYTE * len(message.proof)
            elif type(message) is ReportEquivocation:
                cost += PROOF_UNITS_PER_BYTE * (len(message.first) + len(message.second))
            elif type(message) is AskQuery:
                cost += URI_UNITS_PER_CHARACTER * len(message.uri)
        return cost


def unread(raw: bytes) -> int:
    """The cost of an entry that is not a transaction."""
    return ENTRY_COST + len(raw) // BYTES_PER_UNIT


_Price = Callable[[int, int], int]
"""(an account's leaf, number of operators) → units of a message, the bytes of a document aside."""

_PRICES: Final[dict[type, _Price]] = {
    Transfer: lambda account, operators: 4 * account,
    Issue: lambda account, operators: 2 * account + LEAF_COST,
    Burn: lambda account, operators: 2 * account + LEAF_COST,
    CreateAsset: lambda account, operators: 6 * LEAF_COST,
    Lock: lambda account, operators: 2 * account + 5 * LEAF_COST,
    Claim: lambda account, operators: 3 * account + 2 * LEAF_COST,
    Refund: lambda account, operators: 3 * account + 2 * LEAF_COST,
    WriteRecord: lambda account, operators: 6 * LEAF_COST,
    SetAccess: lambda account, operators: 5 * LEAF_COST,
    Admit: lambda account, operators: 5 * LEAF_COST,
    AttestHeader: lambda account, operators: 6 * LEAF_COST + OPERATOR_COST * operators,
    AskQuery: lambda account, operators: 2 * account + 4 * LEAF_COST,
    AnswerQuery: lambda account, operators: 2 * account + 4 * LEAF_COST + QUERY_COST,
    ExpireQuery: lambda account, operators: 2 * account + 4 * LEAF_COST,
    Appoint: lambda account, operators: 7 * LEAF_COST + OPERATOR_COST * operators,
    ReportEquivocation: lambda account, operators: 14 * LEAF_COST + 2 * ENTRY_COST,
    Propose: lambda account, operators: 12 * LEAF_COST + CHANGE_COST + OPERATOR_COST * operators,
    Vote: lambda account, operators: 8 * LEAF_COST + CHANGE_COST + OPERATOR_COST * operators,
    PrepareOrder: lambda account, operators: 8 * LEAF_COST + WAITING_COST,
    ApproveOrder: lambda account, operators: 12 * LEAF_COST,
    PrepareLift: lambda account, operators: 6 * LEAF_COST,
    ApproveLift: lambda account, operators: 8 * LEAF_COST,
}
