export { RelayerApi } from "./api/relayer.js";
export type { components as RegulatorComponents, paths as RegulatorPaths } from "./api/regulator.types.js";
export type { components as RelayerComponents, paths as RelayerPaths } from "./api/relayer.types.js";
export { ConsortiumChain, type ConsortiumSettings } from "./chains/consortium.js";
export type { Endpoint } from "./chains/endpoints.js";
export { EthereumChain, type EthereumSettings, type EvmWallet } from "./chains/ethereum.js";
export { HASHED_TIMELOCK_ABI, HASHED_TIMELOCK_CODE_HASH } from "./chains/pinned.js";
export type { At, Costs, Head, LockFact, LockStatus, Over, Sent, SwapChain } from "./chains/port.js";
export {
  type LedgerKey, type TransactionBody, claimMessage, ledgerAddress, ledgerKey, lockMessage, refundMessage, signBytes, signConsent, signTransaction, transferMessage,
} from "./chains/transaction.js";
export { CausewayError, GateClosedError } from "./errors.js";
export { type Agreement, type Limits, type SwapAnswer, agreed } from "./swap/agreement.js";
export { type Progress, type RunOptions, SwapClient, type SwapClientOptions, type SwapView } from "./swap/client.js";
export { remembered } from "./swap/finality.js";
export { MemoryStore } from "./swap/memory.js";
export { type Promised, checkFree } from "./swap/purse.js";
export { type QuoteBody, type QuoteRequest, checkQuote, quoteBytes, verifyQuote } from "./swap/quote.js";
export type { Alarm, ChainMemory, FinalBlock, Result, Stage, SwapRecord, SwapStore } from "./swap/record.js";
export { type Terms, type TermsBody, swapId, termsOf } from "./swap/terms.js";
export { type ChainTiming, DEVNET_POLICY, PRODUCTION_POLICY, type SwapPolicy, checkGap, checkLock, checkReveal, checkSkew } from "./swap/timelocks.js";
