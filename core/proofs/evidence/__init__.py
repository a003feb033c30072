"""Evidence: an answer with everything needed to check it offline.

    evidence = decode_evidence(data)
    proven = verify(evidence, decode_anchor(anchor_data), now_s)     # raises ProofError, or it is true

A prover collects leaves (`needed_keys`), a trail and, for Ethereum, account and storage nodes (`proven_address`,
`storage_slot`), and lets `consortium_evidence` or `ethereum_evidence` compute the answer.
"""

from core.proofs.evidence.beacon_anchors import (
    decode_beacon_anchor,
    decode_trusted,
    encode_beacon_anchor,
    joined_anchors,
)
from core.proofs.evidence.codec import decode_anchor, decode_evidence, encode_anchor, encode_evidence
from core.proofs.evidence.consortium_transaction import (
    CONSORTIUM_TRANSACTION,
    TransactionProof,
    transaction_evidence,
)
from core.proofs.evidence.ethereum_log import ETHEREUM_LOG, LogProof, log_evidence
from core.proofs.evidence.ethereum_state import (
    ETHEREUM_STATE,
    EthereumProof,
    ethereum_evidence,
    proven_address,
    storage_slot,
)
from core.proofs.evidence.ethereum_token import (
    ETHEREUM_TOKEN,
    ImplementationProof,
    TokenProof,
    is_token_balance,
    token_evidence,
)
from core.proofs.evidence.kinds import Anchors, Trusted, Verified, Verifier
from core.proofs.evidence.layouts import REVIEWED_LAYOUTS, Layouts, TokenLayout, decode_layouts, encode_layouts
from core.proofs.evidence.state import StateEntry, ledger_code_hash, needed_keys
from core.proofs.evidence.synced import SyncProof
from core.proofs.evidence.trail import Trail, verify_trail
from core.proofs.evidence.verification import (
    BUILT_IN_VERIFIERS,
    CONSORTIUM_STATE,
    ConsortiumProof,
    consortium_evidence,
    installed_verifiers,
    verify,
)

__all__ = [
    "BUILT_IN_VERIFIERS",
    "CONSORTIUM_STATE",
    "CONSORTIUM_TRANSACTION",
    "ETHEREUM_LOG",
    "ETHEREUM_STATE",
    "ETHEREUM_TOKEN",
    "REVIEWED_LAYOUTS",
    "Anchors",
    "ConsortiumProof",
    "EthereumProof",
    "ImplementationProof",
    "Layouts",
    "LogProof",
    "StateEntry",
    "SyncProof",
    "TokenLayout",
    "TokenProof",
    "Trail",
    "TransactionProof",
    "Trusted",
    "Verified",
    "Verifier",
    "consortium_evidence",
    "decode_anchor",
    "decode_beacon_anchor",
    "decode_evidence",
    "decode_layouts",
    "decode_trusted",
    "encode_anchor",
    "encode_beacon_anchor",
    "encode_evidence",
    "encode_layouts",
    "ethereum_evidence",
    "installed_verifiers",
    "is_token_balance",
    "joined_anchors",
    "ledger_code_hash",
    "log_evidence",
    "needed_keys",
    "proven_address",
    "storage_slot",
    "token_evidence",
    "transaction_evidence",
    "verify",
    "verify_trail",
]
