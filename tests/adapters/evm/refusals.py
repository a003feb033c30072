"""Refusals of nodes and providers, word for word, with the client and where the sentence can be looked up.

Each row: client, JSON-RPC code, sentence, the error that it stands for. The sentences are those of the clients' sources
and of public reports; most stand together in smartcontractkit/chainlink-evm, pkg/client/errors_test.go (CHAINLINK).
"""

from dataclasses import dataclass

from adapters.evm.errors import AlreadyKnownError
from core.model.errors import (
    CausewayError,
    ConflictError,
    NotFoundError,
    RejectedError,
    RetryableError,
    RevertedError,
    UnaffordableError,
    UnclearRefusalError,
)

CHAINLINK = "smartcontractkit/chainlink-evm pkg/client/errors_test.go"
GETH = "ethereum/go-ethereum core/txpool/errors.go, core/error.go"
RETH = "paradigmxyz/reth crates/rpc/rpc-eth-types/src/error"
ANVIL = "foundry-rs/foundry crates/anvil/src/eth/error.rs"
HARDHAT = "NomicFoundation/hardhat packages/hardhat-core/src/internal/hardhat-network"
NETHERMIND = "NethermindEth/nethermind src/Nethermind/Nethermind.TxPool/AcceptTxResult.cs"
BESU = "hyperledger/besu ethereum/api RpcErrorType.java"
REVM = "bluealloy/revm crates/context/interface/src/result.rs"
GANACHE = "trufflesuite/ganache src/packages/ethereum/ethereum/src/transaction-pool.ts"
EIP_1474 = "EIP-1474"

PRIVATE = "0x336394A3219e71D9d9bd18201d34E95C1Bb7122C"


@dataclass(frozen=True)
class Said:
    """`kind` exactly, no subclass of it."""

    client: str
    code: int
    sentence: str
    kind: type[CausewayError]
    source: str = CHAINLINK


SENDING = [
    # The node has it.
    Said("geth", -32000, "already known", AlreadyKnownError, GETH),
    Said("geth 1.8", -32000, "known transaction: 0x7f657507aee0511e36d2d197", AlreadyKnownError),
    Said("besu", -32000, "Known transaction", AlreadyKnownError),
    Said("erigon", -32000, "block already known", AlreadyKnownError),
    Said("parity", -32010, "Transaction with the same hash was already imported.", AlreadyKnownError),
    Said("nethermind", -32010, "AlreadyKnown", AlreadyKnownError, NETHERMIND),
    Said("zksync", 3, "known transaction. transaction with hash 0x6013 is already in the system", AlreadyKnownError),
    Said("sei", -32000, "tx already exists in cache", AlreadyKnownError),
    Said("gnosis", -32000, "alreadyknown", AlreadyKnownError),
    Said("moonriver", 1010, "submit transaction to pool failed: Pool(AlreadyImported)", AlreadyKnownError),
    Said("mantle", -32000, "failed to forward tx to sequencer. Error message: 'already known'", AlreadyKnownError),
    Said("anvil", -32003, "transaction already imported", AlreadyKnownError, ANVIL),
    Said("hardhat", -32000, "Known transaction: 0x7f65", AlreadyKnownError, HARDHAT),
    # Its sequence is used up.
    Said("geth", -32000, "nonce too low: next nonce 5, tx nonce 4", ConflictError, GETH),
    Said("besu", -32001, "Nonce too low", ConflictError, BESU),
    Said("parity", -32010, "Transaction nonce is too low. Try incrementing the nonce.", ConflictError),
    Said("arbitrum", -32000, "invalid transaction nonce", ConflictError),
    Said("arbitrum", -32000, f"nonce too low: address {PRIVATE}, tx: 8089 state: 8090", ConflictError),
    Said(
        "avalanche", -32000, f"nonce too low: address {PRIVATE} current nonce (5833) > tx nonce (5511)", ConflictError
    ),
    Said("nethermind", -32010, "OldNonce, Current nonce: 22, nonce of rejected tx: 17", ConflictError, NETHERMIND),
    Said("zksync", 3, "nonce too low. allowed nonce range: 427 - 447, actual: 426", ConflictError),
    Said("moonriver", 1010, "submit transaction to pool failed: Pool(Stale)", ConflictError),
    Said("harmony", -32000, "transaction already finalized", ConflictError),
    Said("hedera", 32001, "Nonce too low. Provided nonce: 15, current nonce: 15", ConflictError),
    Said("sei", -32000, "incorrect account sequence: account sequence mismatch, expected 5, got 4", ConflictError),
    Said("hardhat", -32000, "Nonce too low. Expected nonce to be 5 but got 4.", ConflictError, HARDHAT),
    Said("revm", -32003, "nonce 4 too low, expected 5", ConflictError, REVM),
    Said("besu", -32001, "transaction nonce 4 below sender account nonce 5", ConflictError, BESU),
    Said("ganache", -32000, "the tx doesn't have the correct nonce. account has nonce of: 5", ConflictError, GANACHE),
    # Another one holds it.
    Said("geth", -32000, "replacement transaction underpriced", ConflictError, GETH),
    Said("besu", -32000, "Replacement transaction underpriced", ConflictError, BESU),
    Said("klaytn", -32000, "there is another tx which has the same nonce in the tx pool", ConflictError),
    Said(
        "parity",
        -32010,
        "Transaction gas price 100wei is too low. There is another transaction with same nonce in the queue with gas "
        "price 150wei. Try increasing the gas price or incrementing the nonce.",
        ConflictError,
    ),
    Said("nethermind", -32010, "ReplacementNotAllowed", ConflictError, NETHERMIND),
    Said("nethermind", -32010, "OwnNonceAlreadyUsed", ConflictError, NETHERMIND),
    Said("geth", -32000, "future transaction tries to replace pending", ConflictError, GETH),
    # One before it is missing.
    Said("geth", -32000, "nonce too high", RetryableError, GETH),
    Said("nethermind", -32010, "NonceGap, Future nonce. Expected nonce: 10", RetryableError, NETHERMIND),
    Said("zksync", 3, "nonce too high. allowed nonce range: 427 - 477, actual: 527", RetryableError),
    Said("besu", -32000, "Transaction nonce is too distant from current sender nonce", RetryableError, BESU),
    Said("geth, delegated", -32000, "gapped-nonce tx from delegated accounts", RetryableError, GETH),
    Said("revm", -32003, "nonce 6 too high, expected 5", RetryableError, REVM),
    # The account cannot pay.
    Said("revm", -32003, "lack of funds (1) for max fee (2)", UnaffordableError, REVM),
    Said(
        "geth",
        -32000,
        "insufficient funds for gas * price + value: balance 0, tx cost 9327080000000000, overshot 9327080000000000",
        UnaffordableError,
        GETH,
    ),
    Said("geth", -32000, "insufficient balance for transfer", UnaffordableError, GETH),
    Said("geth", -32000, "transaction would cause overdraft", UnaffordableError),
    Said("besu", -32004, "Upfront cost exceeds account balance", UnaffordableError, BESU),
    Said(
        "besu",
        -32004,
        "transaction up-front cost 0x1 exceeds transaction sender account balance 0x0",
        UnaffordableError,
    ),
    Said("parity", -32010, "Insufficient balance for transaction. Balance=100.25, Cost=200.50", UnaffordableError),
    Said(
        "parity",
        -32010,
        "Insufficient funds. The account you tried to send transaction from does not have enough funds. Required "
        "200.50 and got: 100.25.",
        UnaffordableError,
    ),
    Said("arbitrum", -32000, "not enough funds for gas", UnaffordableError),
    Said("nethermind", -32010, "InsufficientFunds", UnaffordableError, NETHERMIND),
    Said(
        "nethermind", -32010, "InsufficientFunds, Account balance: 1, cumulative cost: 2", UnaffordableError, NETHERMIND
    ),
    Said("celo", -32000, "insufficient funds for gas + value. balance: 4, fee: 5, value: 6", UnaffordableError),
    Said("zksync", 3, "insufficient balance for transfer", UnaffordableError),
    Said("zksync", 3, "Not enough balance to cover the fee. Fee: 2, balance: 1", UnaffordableError),
    Said("hedera", -32000, "failed precheck with status INSUFFICIENT_PAYER_BALANCE", UnaffordableError),
    Said("sei", -32000, ": insufficient funds", UnaffordableError),
    Said("monad", -32000, "Signer had insufficient balance", UnaffordableError),
    Said("reth", -32003, "insufficient funds for gas * price + value: have 1 want 2", UnaffordableError, RETH),
    Said("anvil", -32003, "Insufficient funds for gas * price + value", UnaffordableError, ANVIL),
    Said(
        "hardhat",
        -32000,
        "Sender doesn't have enough funds to send tx. The max upfront cost is: 2 and the sender's balance is: 1.",
        UnaffordableError,
        HARDHAT,
    ),
    Said("geth", -32000, "gas required exceeds allowance (0)", UnaffordableError, GETH),
    # The fee is too low for now.
    Said("geth", -32000, "transaction underpriced", RetryableError, GETH),
    Said(
        "geth",
        -32000,
        "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 7",
        RetryableError,
    ),
    Said(
        "bor", -32000, "transaction gas price below minimum: gas tip cap 1 gwei, minimum needed 25 gwei", RetryableError
    ),
    Said("besu", -32005, "Gas price below configured minimum gas price", RetryableError, BESU),
    Said(
        "parity",
        -32010,
        "Transaction gas price is too low. It does not satisfy your node's minimal gas price (minimal: 100 got: 50). "
        "Try increasing the gas price.",
        RetryableError,
    ),
    Said("arbitrum", -32000, "gas price too low", RetryableError),
    Said(
        "metis",
        -32000,
        "gas price too low: 18000000000 wei, use at least tx.gasPrice = 19500000000 wei",
        RetryableError,
    ),
    Said("nethermind", -32010, "FeeTooLow", RetryableError, NETHERMIND),
    Said("nethermind", -32010, "FeeTooLow, EffectivePriorityFeePerGas too low 10 < 20, BaseFee: 30", RetryableError),
    Said("zksync", 3, "max fee per gas less than block base fee", RetryableError),
    Said(
        "zksync",
        3,
        "virtual machine entered unexpected state. please contact developers and provide transaction details that "
        "caused this error. Error description: The operator included transaction with an unacceptable gas price",
        RetryableError,
    ),
    Said("astar", -32000, "gas price less than block base fee", RetryableError),
    Said("celo", -32000, "gasprice is less than gas price minimum floor", RetryableError),
    Said("hedera", -32000, "Gas price '830' is below configured minimum gas price '950'", RetryableError),
    Said("sei", -32000, "insufficient fee", RetryableError),
    Said("sei", -32000, "insufficient fees; got: 1usei required: 2usei: insufficient fee", RetryableError),
    Said("anvil", -32003, "max fee per gas less than block base fee", RetryableError, ANVIL),
    Said("revm", -32003, "gas price is less than basefee", RetryableError, REVM),
    Said("reth", -32003, "transaction feeCap 1 below chain minimum", RetryableError, RETH),
    Said(
        "hardhat",
        -32000,
        "Transaction maxFeePerGas (1) is too low for the next block, which has a baseFeePerGas of 7",
        RetryableError,
        HARDHAT,
    ),
    # The node allows no such fee, or has no room.
    Said("erigon", -32000, "baseFee sub-pool is full", RetryableError, "erigontech/erigon txnprovider/txpool"),
    Said("nethermind", -32010, "PendingTxsOfOtherType", RetryableError, NETHERMIND),
    Said("nethermind", -32010, "Syncing", RetryableError, NETHERMIND),
    Said("geth", -32000, "tx fee (1.10 ether) exceeds the configured cap (1.00 ether)", RetryableError),
    Said("besu", -32000, "Transaction fee cap exceeded", RetryableError, BESU),
    Said("celo", -32000, "tx fee (1.10 of currency celo) exceeds the configured cap (1.00 celo)", RetryableError),
    Said("celo", -32000, "txpool is full", RetryableError),
    Said("arbitrum", -32000, "queue full", RetryableError),
    Said("arbitrum", -32000, "sequencer pending tx pool full, please try again", RetryableError),
    Said("arbitrum", -32000, "tx dropped due to L2 congestion", RetryableError),
    Said("nethermind", -32010, "FeeTooLowToCompete", RetryableError, NETHERMIND),
    Said(
        "parity",
        -32010,
        "There are too many transactions in the queue. Your transaction was dropped due to limit. Try increasing the "
        "fee.",
        RetryableError,
    ),
    Said("zkevm", -32000, "failed to add tx to the pool: not enough step counters to continue", RetryableError),
    Said("geth, delegated", -32000, "in-flight transaction limit reached for delegated accounts", RetryableError, GETH),
    # It knows no such transactions.
    Said("geth before London", -32000, "unknown transaction type", RetryableError),
    Said("geth", -32000, "transaction type not supported", RetryableError, GETH),
    Said("quorum", -32000, "unsupported transaction type: 2", RetryableError),
    Said(
        "besu",
        -32000,
        "Transaction type EIP1559 is invalid, accepted transaction types are FRONTIER",
        RetryableError,
        BESU,
    ),
    Said("nethermind", -32010, "NotSupportedTxType", RetryableError, NETHERMIND),
    # These bytes can never be included.
    Said("revm", -32003, "caller gas limit exceeds the block gas limit", RevertedError, REVM),
    Said("revm", -32003, "priority fee is greater than max fee", RevertedError, REVM),
    Said("revm", -32003, "reject transactions from senders with deployed code", RevertedError, REVM),
    Said("besu", -32000, "max priority fee per gas exceeds max fee per gas", RevertedError, BESU),
    Said("nethermind", -32010, "Invalid, InvalidTxChainId: Expected 1, got 2", RevertedError, NETHERMIND),
    Said("hardhat", -32000, "Transaction requires at least 21000 gas but got 100", RevertedError, HARDHAT),
    Said("geth", -32000, "intrinsic gas too low", RevertedError, GETH),
    Said("geth", -32000, "exceeds block gas limit", RevertedError, GETH),
    Said("geth", -32000, "transaction gas limit too high (cap: 16777216, tx: 30000000)", RevertedError, GETH),
    Said("geth", -32000, "invalid sender", RevertedError, GETH),
    Said("geth", -32000, "oversized data: transaction size 138074, limit 131072", RevertedError),
    Said("geth", -32000, "gas uint64 overflow", RevertedError, GETH),
    Said("besu", -32003, "Intrinsic gas exceeds gas limit", RevertedError, BESU),
    Said("besu", -32000, "Transaction gas limit exceeds block gas limit", RevertedError, BESU),
    Said("besu", -32000, "Invalid signature", RevertedError, BESU),
    Said("nethermind", -32010, "GasLimitExceeded, Gas limit: 100, gas limit of rejected tx: 150", RevertedError),
    Said("nethermind", -32010, "Invalid, transaction Hash is null", RevertedError, NETHERMIND),
    Said("nethermind", -32010, "SenderIsContract", RevertedError, NETHERMIND),
    Said(
        "parity",
        -32010,
        "Transaction gas is too low. There is not enough gas to cover minimal cost of the transaction (minimal: 100 "
        "got: 50) Try increasing supplied gas.",
        RevertedError,
    ),
    Said(
        "parity",
        -32010,
        "Transaction cost exceeds current gas limit. Limit: 50, got: 100. Try decreasing supplied gas.",
        RevertedError,
    ),
    Said("parity", -32010, "Supplied gas is beyond limit.", RevertedError),
    Said("sei", -32000, ": out of gas", RevertedError),
    Said("sei", -32000, "Tx too large. Max size is 2048576, but got 2097431", RevertedError),
    Said("monad", -32000, "Gas limit too low", RevertedError),
    Said("treasure", -32000, "invalid chain id for signer", RevertedError),
    Said("zksync", 3, "max priority fee per gas higher than max fee per gas", RevertedError),
    Said("arbitrum", -32000, "execution reverted: stale report", RevertedError),
    # Its provider, not its pool.
    Said("any", 429, "Too Many Requests", RetryableError),
    Said("alchemy", 429, "Your app has exceeded its compute units per second capacity.", RetryableError),
    Said("any", -32603, "Internal error", RetryableError),
    # Words that nobody here knows.
    Said("any", -32000, "some old words", UnclearRefusalError),
    Said("any", -32000, "", UnclearRefusalError),
    Said("zksync", 3, "some old words", UnclearRefusalError),
    Said("any", -32602, "invalid params", UnclearRefusalError),
    Said("parity", -32010, "Sender is banned in local queue.", UnclearRefusalError),
]

CALLING = [
    Said("geth", 3, "execution reverted: too early", RevertedError, GETH),
    Said("geth", 3, "execution reverted: insufficient funds", RevertedError, GETH),
    Said("parity", -32015, "VM execution error.", RevertedError),
    Said(
        "hardhat",
        -32603,
        "Error: VM Exception while processing transaction: reverted with 'no'",
        RevertedError,
        HARDHAT,
    ),
    Said("geth", -32000, "invalid opcode: INVALID", RevertedError, GETH),
    Said("geth", -32000, "out of gas", RevertedError, GETH),
    Said("any", 3, "some old words", RevertedError),
    Said("geth", -32000, "insufficient funds for gas * price + value", UnaffordableError, GETH),
    Said("geth", -32000, "header not found", NotFoundError, GETH),
    Said("geth", -32000, "missing trie node 8f6a6a (path ) state 0x8f6a is not available", NotFoundError, GETH),
    Said("geth", -32000, "required historical state unavailable (reexec=128)", NotFoundError, GETH),
    Said("geth, path", -32000, "historical state 0x8f6a is not available", NotFoundError, GETH),
    Said("reth", 4444, "state at block #17 is pruned", NotFoundError, RETH),
    Said("reth", -32001, "block not found: 0x11", NotFoundError, RETH),
    Said("erigon", -32000, "old data not available due to pruning", NotFoundError, "erigontech/erigon turbo/jsonrpc"),
    Said("nethermind", -32002, "No state available for block 17", NotFoundError, NETHERMIND),
    Said("besu", -32000, "World state unavailable", NotFoundError, BESU),
    Said(
        "parity",
        -32000,
        "This request is not supported because your node is running with state pruning. Run with --pruning=archive.",
        NotFoundError,
    ),
    Said("besu", -32000, "Block not found", NotFoundError, BESU),
    Said("infura", -32005, "limit exceeded", RetryableError, EIP_1474),
    Said("infura", -32005, "daily request count exceeded, request rate limited", RetryableError),
    Said("any", -32000, "some old words", UnclearRefusalError),
    Said("any", -32601, "the method eth_call does not exist/is not available", RetryableError),
]

TOO_LONG = [
    Said(
        "infura", -32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2].", RejectedError
    ),
    Said(
        "alchemy",
        -32602,
        "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
        "response size",
        RejectedError,
    ),
    Said(
        "alchemy, free",
        -32600,
        "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range.",
        RejectedError,
        "boundless-xyz/boundless#838",
    ),
    Said("quicknode", -32614, "eth_getLogs is limited to a 5 range", RejectedError),
    Said("simplyvc", -32000, "too wide blocks range, the limit is 100", RejectedError),
    Said("drpc", -32000, "requested too many blocks from 0 to 16777216, maximum is set to 2048", RejectedError),
    Said("chainstack", -32002, "request timed out", RejectedError),
    Said("reth", -32602, "query exceeds max block range 100000", RejectedError, RETH),
    Said("reth", -32602, "query exceeds max results 20000, retry with the range 1-2", RejectedError, RETH),
    Said("besu", -32000, "Requested range exceeds maximum range limit", RejectedError, BESU),
    Said("any", -32005, "rate limit exceeded", RetryableError),
    Said("any", -32000, "some old words", UnclearRefusalError),
]

NOT_OFFERED = [
    Said("geth", -32601, "the method eth_getBlockReceipts does not exist/is not available", RejectedError, GETH),
    Said(
        "alchemy", -32600, "Unsupported method: eth_getBlockReceipts", RejectedError, "ethereum-optimism/optimism#6019"
    ),
    Said("any", -32001, "method not supported", RejectedError, "paradigmxyz/cryo#93"),
    Said("any", -32004, "Method not supported", RejectedError, EIP_1474),
    Said("any", -32603, "method handler crashed: eth_getBlockReceipts not implemented", RejectedError),
    Said("nethermind", -32600, "eth_getBlockReceipts namespace is disabled", RejectedError, NETHERMIND),
    Said("any", -32601, "some old words", RejectedError),
    Said("bor", -32000, "receipts length mismatch: 1 vs 0", UnclearRefusalError, "0xPolygon/bor#1654"),
]
