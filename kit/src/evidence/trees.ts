/** Merkle trees: RFC 6962 over SHA-256, as CometBFT has them, and the ledger's compact sparse tree (ICS-23, SmtSpec). */
import { type Bytes, concat, equal, sha256 } from "./bytes.js";
import { invalid, malformed } from "./errors.js";

const LEAF = Uint8Array.of(0);
const INNER = Uint8Array.of(1);
const HASH_SIZE = 32;
const MAX_DEPTH = 256;
const EMPTY = new Uint8Array(HASH_SIZE);
const HEADER_SIZE = 3;
export const MAX_PROOF_BYTES = HEADER_SIZE + 2 * HASH_SIZE + MAX_DEPTH / 8 + MAX_DEPTH * HASH_SIZE;

/** Root over the items in their order (RFC 6962 §2.1). */
export function merkleRoot(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 0) return sha256();
  let level = leaves.map((leaf) => sha256(LEAF, leaf));
  while (level.length > 1) {
    const above: Bytes[] = [];
    for (let place = 0; place < level.length; place += 2) {
      const [left, right] = [level[place] as Bytes, level[place + 1]];
      above.push(right === undefined ? left : sha256(INNER, left, right));
    }
    level = above;
  }
  return level[0] as Bytes;
}

/** Prove that `item` is leaf `index` of a tree of `total` leaves under `root`; `aunts` go from the leaf upwards. */
export function verifyMerkle(root: Bytes, item: Bytes, total: bigint, index: bigint, aunts: readonly Bytes[]): void {
  if (index >= total) throw malformed("leaf index is outside the tree");
  if (aunts.some((aunt) => aunt.length !== HASH_SIZE)) throw malformed("sibling hashes have the wrong shape");
  let computed = sha256(LEAF, item);
  let used = 0;
  for (let place = index, last = total - 1n; last > 0n; place /= 2n, last /= 2n) {
    if (place % 2n === 0n && place === last) continue;
    const aunt = aunts[used++];
    if (aunt === undefined) throw malformed("too few sibling hashes");
    computed = place % 2n ? sha256(INNER, aunt, computed) : sha256(INNER, computed, aunt);
  }
  if (used !== aunts.length) throw malformed("too many sibling hashes");
  if (!equal(computed, root)) throw invalid("Merkle proof leads to another root");
}

/** Sibling hashes from the root downwards; `otherLeaf` only in proofs of absence that end at one. */
export interface SparseProof {
  readonly siblings: readonly Bytes[];
  readonly otherLeaf: { readonly keyHash: Bytes; readonly valueHash: Bytes } | null;
}

/** Prove that `key` holds `value` under `root`, or nothing if `value` is null. Throws if the proof does not. */
export function verifySparse(root: Bytes, key: Bytes, value: Bytes | null, proof: SparseProof): void {
  const path = sha256(key);
  const other = proof.otherLeaf;
  if (value !== null) {
    if (other !== null) throw invalid("an inclusion proof names no other leaf");
    requireRoot(root, path, sha256(LEAF, path, sha256(value)), proof.siblings);
    return;
  }
  if (other === null) {
    requireRoot(root, path, EMPTY, proof.siblings);
    return;
  }
  if (equal(other.keyHash, path)) throw invalid("the leaf in the key's place is the key's own");
  for (let depth = 0; depth < proof.siblings.length; depth++) {
    if (bit(other.keyHash, depth) !== bit(path, depth)) throw invalid("the other leaf is not in the key's place");
  }
  requireRoot(root, path, sha256(LEAF, other.keyHash, other.valueHash), proof.siblings);
}

/** Has-other-leaf (1) ‖ depth (2, big-endian) ‖ other leaf (64) ‖ bitmap ‖ non-empty siblings; one form only. */
export function decodeSparseProof(data: Bytes): SparseProof {
  if (data.length < HEADER_SIZE || data.length > MAX_PROOF_BYTES || (data[0] as number) > 1) {
    throw malformed("sparse Merkle proof has the wrong size or kind");
  }
  const depth = ((data[1] as number) << 8) | (data[2] as number);
  if (depth > MAX_DEPTH) throw malformed("sparse Merkle proof is too deep");
  let offset = HEADER_SIZE;
  const take = (size: number): Bytes => {
    const part = data.slice(offset, offset + size);
    if (part.length !== size) throw malformed("sparse Merkle proof is cut short");
    offset += size;
    return part;
  };
  const otherLeaf = data[0] === 1 ? { keyHash: take(HASH_SIZE), valueHash: take(HASH_SIZE) } : null;
  const bitmap = take((depth + 7) >> 3);
  const siblings: Bytes[] = [];
  for (let place = 0; place < depth; place++) siblings.push(bit(bitmap, place) ? take(HASH_SIZE) : EMPTY);
  const proof = { siblings, otherLeaf };
  if (offset !== data.length || !equal(encodeSparseProof(proof), data)) {
    throw malformed("sparse Merkle proof is not in its canonical form");
  }
  return proof;
}

function encodeSparseProof({ siblings, otherLeaf }: SparseProof): Bytes {
  const depth = siblings.length;
  const bitmap = new Uint8Array((depth + 7) >> 3);
  siblings.forEach((sibling, place) => {
    if (!equal(sibling, EMPTY)) bitmap[place >> 3] = (bitmap[place >> 3] as number) | (0x80 >> (place & 7));
  });
  return concat(
    Uint8Array.of(otherLeaf === null ? 0 : 1, depth >> 8, depth & 0xff),
    ...(otherLeaf === null ? [] : [otherLeaf.keyHash, otherLeaf.valueHash]),
    bitmap,
    ...siblings.filter((sibling) => !equal(sibling, EMPTY)),
  );
}

const bit = (path: Bytes, depth: number): number => ((path[depth >> 3] as number) >> (7 - (depth & 7))) & 1;

function requireRoot(root: Bytes, path: Bytes, leaf: Bytes, siblings: readonly Bytes[]): void {
  let node = leaf;
  for (let depth = siblings.length - 1; depth >= 0; depth--) {
    const sibling = siblings[depth] as Bytes;
    node = bit(path, depth) ? sha256(INNER, sibling, node) : sha256(INNER, node, sibling);
  }
  if (!equal(node, root)) throw invalid("sparse Merkle proof leads to another root");
}
