"""Any Ethereum JSON-RPC chain behind the ports."""

from adapters.evm.chain import EvmChain, EvmChainSettings, EvmParameters, htlc_code_hash
from adapters.evm.endpoints import Endpoint
from adapters.evm.keystore import keystore_signer
from adapters.evm.names import evm_chain, native_asset, token_account, token_asset
from adapters.evm.proofs import EvmStateProver, StateProof
from adapters.evm.signed_locks import PERMIT2, SignedLocks
from adapters.evm.signing import LocalSigner, development_signer

__all__ = [
    "PERMIT2",
    "Endpoint",
    "EvmChain",
    "EvmChainSettings",
    "EvmParameters",
    "EvmStateProver",
    "LocalSigner",
    "SignedLocks",
    "StateProof",
    "development_signer",
    "evm_chain",
    "htlc_code_hash",
    "keystore_signer",
    "native_asset",
    "token_account",
    "token_asset",
]
