"""Evidence: an answer with everything needed to check it offline.

    evidence = decode_evidence(data)
    proven = verify(evidence, decode_anchor(anchor_data), now_s)     # raises ProofError, or it is true

A prover collects leaves (`needed_keys`), a trail and, for Ethereum, account and storage nodes (`proven_address`,
`storage_slot`), and lets `consortium_evidence` or `ethereum_evidence` compute the answer.
"""

from core.proofs.evidence.codec import decode_anchor, decode_evidence, encode_anchor, encode_evidence
from core.proofs.evidence.state import StateEntry, ledger_code_hash, needed_keys
from core.proofs.evidence.trail import Trail, verify_trail
from core.proofs.evidence.verification import (
    BUILT_IN_VERIFIERS,
    CONSORTIUM_STATE,
    ETHEREUM_STATE,
    ConsortiumProof,
    EthereumProof,
    Verified,
    Verifier,
    consortium_evidence,
    ethereum_evidence,
    installed_verifiers,
    proven_address,
    storage_slot,
    verify,
)

__all__ = [
    "BUILT_IN_VERIFIERS",
    "CONSORTIUM_STATE",
    "ETHEREUM_STATE",
    "ConsortiumProof",
    "EthereumProof",
    "StateEntry",
    "Trail",
    "Verified",
    "Verifier",
    "consortium_evidence",
    "decode_anchor",
    "decode_evidence",
    "encode_anchor",
    "encode_evidence",
    "ethereum_evidence",
    "installed_verifiers",
    "ledger_code_hash",
    "needed_keys",
    "proven_address",
    "storage_slot",
    "verify",
    "verify_trail",
]
