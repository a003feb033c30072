/** Leaves with their proofs under a header that a trail leads to. */
import { type Bytes, toBigInt } from "./bytes.js";
import { dump, hexBytes, items, type Json, members, optional } from "./canonical.js";
import { invalid, malformed } from "./errors.js";
import { type Anchor, readTrail, type Trail, verifyTrail, writeTrail } from "./light.js";
import { decodeSparseProof, MAX_PROOF_BYTES, type SparseProof, verifySparse } from "./trees.js";

/** A list's entries, its length and the ledger's clock. */
const MAX_ENTRIES = 102;
export const MAX_LEAF_BYTES = 1 << 18;

export type ReadLeaf = (key: Bytes) => Bytes | null;

export interface Entry {
  readonly value: Bytes | null;
  readonly proof: SparseProof;
}

export function readEntries(value: Json): Entry[] {
  return items(value, MAX_ENTRIES).map((entry) => {
    const fields = members(entry, "value", "proof");
    const leaf = optional(fields.value, (raw) => hexBytes(raw, MAX_LEAF_BYTES));
    if (leaf?.length === 0) throw malformed("a leaf is never empty");
    return { value: leaf, proof: decodeSparseProof(hexBytes(fields.proof, MAX_PROOF_BYTES)) };
  });
}

/** Hands out leaves in order, each proven under the root before. `finish` refuses those that nobody asked for. */
export function provenState(root: Bytes, entries: readonly Entry[]): { read: ReadLeaf; finish: () => void } {
  let used = 0;
  return {
    read(key) {
      const entry = entries[used++];
      if (entry === undefined) throw invalid("proof lacks a leaf that the question needs");
      verifySparse(root, key, entry.value, entry.proof);
      return entry.value;
    },
    finish() {
      if (used !== entries.length) throw invalid("proof has more leaves than the question needs");
    },
  };
}

/** The trail, in its one form, and proven from the anchor if there is one. */
export function checkedTrail(value: Json, anchor: Anchor | null, now: bigint): Trail {
  const trail = readTrail(value);
  // Unknown members, and other spellings of known ones, are refused.
  if (dump(writeTrail(trail)) !== dump(value)) throw malformed("proof is not in its canonical form");
  if (anchor !== null) verifyTrail(trail, anchor, now);
  return trail;
}

/** A counter of eight big-endian bytes, 0 if there is none. */
export function counter(raw: Bytes | null): bigint {
  if (raw === null) return 0n;
  if (raw.length !== 8) throw invalid("a counter's leaf has eight bytes");
  return toBigInt(raw);
}
