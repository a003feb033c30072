export { IndexedDbStore, type Unlock } from "./store.js";
export { createPasskey } from "./vault.js";
export { type ChainFacts, type FoundWallet, browserWallets, connectWallet, connectedWallet } from "./wallets.js";
