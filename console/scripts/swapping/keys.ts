/** The person's own keys: a store that a passphrase or passkey opens, and the consortium key in it. */
import { fromHex, toHex } from "../../../kit/src/evidence/bytes.js";
import { IndexedDbStore, createPasskey } from "../../../kit/src/browser/index.js";
import { type LedgerKey, ledgerKey } from "../../../kit/src/chains/transaction.js";
import { type Kept, restoreSwaps, sealBackup } from "./backup.js";

const STORE = "causeway-swap";
const SEED = "ledger";

export interface Opened {
  readonly store: IndexedDbStore;
  readonly key: LedgerKey;
}

export type Lock = "passphrase" | "passkey" | undefined;

export async function lockOf(): Promise<Lock> {
  const by = await IndexedDbStore.lockedBy(STORE);
  return by === undefined || by === "passphrase" ? by : "passkey";
}

/** Passkeys are bound to a name: there are none for a page that is addressed by number (WebAuthn, "relying party identifier"). */
export const hasPasskeys = (): boolean => typeof PublicKeyCredential === "function" && !/^[0-9.]+$|^\[/.test(location.hostname);

export async function openByPassphrase(passphrase: string, brought?: Kept): Promise<Opened> {
  return begun(await IndexedDbStore.open({ passphrase }, STORE), brought);
}

export async function openByPasskey(brought?: Kept): Promise<Opened> {
  const known = await IndexedDbStore.lockedBy(STORE);
  const passkey = known instanceof Uint8Array ? known : await createPasskey("Causeway swaps");
  return begun(await IndexedDbStore.open({ passkey }, STORE), brought);
}

async function begun(store: IndexedDbStore, brought: Kept | undefined): Promise<Opened> {
  const seed = await store.keep(SEED, brought?.seed ?? toHex(crypto.getRandomValues(new Uint8Array(32))));
  if (brought !== undefined && seed === brought.seed) await restoreSwaps(store, brought.swaps);
  return { store, key: ledgerKey(fromHex(seed)) };
}

export async function backupOf({ store }: Opened, passphrase: string): Promise<string> {
  const seed = await store.secret(SEED);
  if (seed === undefined) throw new Error("there is no key yet");
  return sealBackup({ seed, swaps: (await store.all()).filter((one) => one.stage !== "done") }, passphrase);
}
