export { IndexedDbStore, type Unlock } from "./store.js";
export { createPasskey } from "./vault.js";
export { type FoundWallet, browserWallets, connectWallet } from "./wallets.js";
