"""Evidence about Ethereum whose header sync committees call final, made of evidence that the ledger attests."""

from dataclasses import replace

from core.model.beacon import BeaconAnchor
from core.model.questions import Evidence
from core.proofs import ethereum
from core.proofs.evidence import (
    EthereumProof,
    Layouts,
    LogProof,
    SyncProof,
    TokenProof,
    ethereum_evidence,
    log_evidence,
    token_evidence,
)
from core.proofs.evidence.ethereum_log import ETHEREUM_LOG, decode_log_proof
from core.proofs.evidence.ethereum_state import ETHEREUM_STATE, decode_ethereum_proof
from core.proofs.evidence.ethereum_token import decode_token_proof
from tests.core.proofs.beacons import ELECTRA, NETWORK, PERIOD, ToyBeacon

START = ELECTRA + 8
TARGET = ELECTRA + PERIOD + 16
AnyProof = EthereumProof | TokenProof | LogProof


def beacon_over(header: ethereum.EthereumHeader, now_s: int) -> ToyBeacon:
    """A beacon chain whose block at `TARGET` carries this header, a little before `now_s`."""
    genesis_time = now_s - (TARGET + 20) * NETWORK.seconds_per_slot
    return ToyBeacon(replace(NETWORK, genesis_time=genesis_time), {TARGET: header})


def synced(evidence: Evidence, beacon: ToyBeacon, layouts: Layouts, *, attested: bool) -> Evidence:
    """The same answer, vouched for by sync committees, and by the ledger also if `attested`."""
    return carrying(evidence, SyncProof(beacon.chain(START, TARGET)), layouts, attested=attested)


def carrying(evidence: Evidence, sync: SyncProof | None, layouts: Layouts, *, attested: bool) -> Evidence:
    """The same answer with these vouchers."""

    def changed(proof: AnyProof) -> AnyProof:
        kept = proof if attested else replace(proof, trail=None, attestation=None)
        return replace(kept, sync=sync)

    question = evidence.question
    if evidence.kind == ETHEREUM_LOG:
        log = changed(decode_log_proof(evidence.proof))
        assert isinstance(log, LogProof)
        return log_evidence(question, log)
    if evidence.kind == ETHEREUM_STATE:
        state = changed(decode_ethereum_proof(evidence.proof))
        assert isinstance(state, EthereumProof)
        return ethereum_evidence(question, state)
    token = changed(decode_token_proof(evidence.proof))
    assert isinstance(token, TokenProof)
    return token_evidence(question, token, layouts)


def anchor_of(beacon: ToyBeacon) -> BeaconAnchor:
    """The anchor at `START`."""
    return beacon.anchor(START)
