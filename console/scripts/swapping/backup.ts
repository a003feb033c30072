/** Everything of a store in one file, encrypted under a passphrase: for another browser, or for the day this one is lost. */
import { fromHex, toHex } from "../../../kit/src/evidence/bytes.js";
import { rejected } from "../../../kit/src/errors.js";
import type { SwapRecord, SwapStore } from "../../../kit/src/swap/record.js";
import { freshSalt, passphraseKey, seal, unseal } from "../../../kit/src/browser/vault.js";

const KIND = "causeway backup v1";
const MAX_CHARS = 16 * 1024 * 1024;
const HEX = /^(?:[0-9a-f]{2})+$/;

/** What a backup holds. Whoever has it has the key, and the preimages of swaps that were open then. */
export interface Kept {
  /** The seed of the consortium key, in hex. */
  readonly seed: string;
  readonly swaps: readonly SwapRecord[];
}

/** A backup as the text of a file. */
export async function sealBackup(kept: Kept, passphrase: string): Promise<string> {
  const salt = freshSalt();
  const { iv, data } = await seal(await passphraseKey(passphrase, salt), KIND, JSON.stringify(kept));
  return `${JSON.stringify({ kind: KIND, salt: toHex(salt), iv: toHex(iv), data: toHex(data) })}\n`;
}

/** What a backup holds. Throws `wrong-key` for another passphrase, `rejected` for a file that is none. */
export async function openBackup(text: string, passphrase: string): Promise<Kept> {
  const parts = text.length > MAX_CHARS ? undefined : parsed(text);
  const [salt, iv, data] = [parts?.["salt"], parts?.["iv"], parts?.["data"]].map((one) => (typeof one === "string" && HEX.test(one) ? new Uint8Array(fromHex(one)) : undefined));
  if (parts?.["kind"] !== KIND || salt === undefined || iv === undefined || data === undefined) throw rejected("this file is not a backup of a Causeway swap page: choose another");
  const { seed, swaps } = JSON.parse(await unseal(await passphraseKey(passphrase, salt), KIND, { iv, data })) as Partial<Kept>;
  if (typeof seed !== "string" || !/^[0-9a-f]{64}$/.test(seed) || !Array.isArray(swaps)) throw rejected("this backup holds no key");
  return { seed, swaps };
}

/** Put a backup's swaps into a store that does not have them. Those that had not locked finally are marked: no second lock is made. */
export async function restoreSwaps(store: SwapStore, swaps: readonly SwapRecord[]): Promise<number> {
  let count = 0;
  for (const record of swaps) {
    if (typeof record?.key !== "string" || (await store.get(record.key)) !== undefined) continue;
    // The other browser may have asked its wallet for the claim since: from here on the preimage counts as public.
    const { claimTries, ...kept } = record;
    void claimTries;
    await store.put(["opening", "agreed", "locking"].includes(kept.stage) ? { ...kept, restored: true } : kept);
    count += 1;
  }
  return count;
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const found: unknown = JSON.parse(text);
    return typeof found === "object" && found !== null ? (found as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
