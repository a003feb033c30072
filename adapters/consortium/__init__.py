"""Any chain that answers CometBFT's RPC and runs our ledger.

chain = await connect("http://127.0.0.1:26657", ChainId("causeway:devnet-1"), ["cnyd"])
signer = Ed25519Signer(chain.access.chain, seed)
chain.learn(signer.public_key)
"""

from adapters.consortium.chain import ConsortiumChain, connect
from adapters.consortium.messages import issue, transfer, unsigned, write_record
from adapters.consortium.signing import Ed25519Signer

__all__ = ["ConsortiumChain", "Ed25519Signer", "connect", "issue", "transfer", "unsigned", "write_record"]
