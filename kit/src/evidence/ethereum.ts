/** Ethereum's headers, accounts and storage words, proven from their roots (Yellow Paper; EIP-1186 for the proofs). */
import { type Bytes, concat, equal, fromBigInt, keccak256, toBigInt } from "./bytes.js";
import { invalid, malformed } from "./errors.js";

export type Rlp = Bytes | Rlp[];

const MAX_RLP_DEPTH = 8;
const MAX_RLP_BYTES = 1 << 22;
const STRING = 0x80;
const LIST = 0xc0;
const LONG = 55;
const HASH_SIZE = 32;
export const MAX_HEADER_BYTES = 1024;
const MAX_EXTRA_DATA = 32;
/** Fork by fork, the fields that joined at the end of the header: London, Shanghai, Cancun, Prague (and Osaka). */
const HEADER_LENGTHS = [15, 16, 17, 20, 21];
export const MAX_NODES = 65;
export const MAX_NODE_BYTES = 1024;
export const MAX_RECEIPT_NODE_BYTES = 1 << 21;
const MAX_LOGS = 1 << 16;
const MAX_TOPICS = 4;
const MAX_TRANSACTION_TYPE = 0x7f;
const EMPTY_ROOT = keccak256(Uint8Array.of(STRING));
export const EMPTY_CODE_HASH = keccak256();

// --- RLP, strict: one value has one encoding -------------------------------------------------------------------------

export function encodeRlp(value: Rlp): Bytes {
  if (!Array.isArray(value)) {
    return value.length === 1 && (value[0] as number) < STRING ? value : concat(prefix(value.length, STRING), value);
  }
  const body = concat(...value.map(encodeRlp));
  return concat(prefix(body.length, LIST), body);
}

function prefix(length: number, base: number): Bytes {
  if (length <= LONG) return Uint8Array.of(base + length);
  const size = fromBigInt(BigInt(length));
  return concat(Uint8Array.of(base + LONG + size.length), size);
}

export function decodeRlp(data: Bytes): Rlp {
  if (data.length > MAX_RLP_BYTES) throw malformed("RLP item is too large");
  const [item, end] = decodeItem(data, 0, data.length, 0);
  if (end !== data.length) throw malformed("RLP item has bytes behind it");
  return item;
}

function decodeItem(data: Bytes, start: number, limit: number, depth: number): [Rlp, number] {
  if (depth > MAX_RLP_DEPTH) throw malformed("RLP is nested too deeply");
  if (start >= limit) throw malformed("RLP item is cut short");
  const first = data[start] as number;
  if (first < STRING) return [data.slice(start, start + 1), start + 1];
  const base = first < LIST ? STRING : LIST;
  let [body, length] = [start + 1, first - base];
  if (length > LONG) {
    const size = length - LONG;
    if (body + size > limit || data[body] === 0) throw malformed("RLP length is not canonical");
    const long = toBigInt(data.slice(body, body + size));
    if (long <= BigInt(LONG) || long > BigInt(MAX_RLP_BYTES)) throw malformed("RLP length is not canonical");
    [body, length] = [body + size, Number(long)];
  }
  const end = body + length;
  if (end > limit) throw malformed("RLP item is cut short");
  if (base === STRING) {
    if (length === 1 && (data[body] as number) < STRING) throw malformed("RLP single byte is not canonical");
    return [data.slice(body, end), end];
  }
  const items: Rlp[] = [];
  while (body < end) {
    const [item, after] = decodeItem(data, body, end, depth + 1);
    items.push(item);
    body = after;
  }
  return [items, end];
}

export function asList(item: Rlp | undefined): Rlp[] {
  if (!Array.isArray(item)) throw malformed("RLP item is not a list");
  return item;
}

export function asBytes(item: Rlp | undefined, size?: number): Bytes {
  if (item === undefined || Array.isArray(item) || (size !== undefined && item.length !== size)) {
    throw malformed("RLP item is not a string of the expected size");
  }
  return item;
}

export function asInteger(item: Rlp | undefined, maxBytes = 32): bigint {
  const raw = asBytes(item);
  if (raw.length > maxBytes || raw[0] === 0) throw malformed("RLP scalar is not minimal or too large");
  return toBigInt(raw);
}

// --- headers and state -----------------------------------------------------------------------------------------------

export interface EthereumHeader {
  readonly hash: Bytes;
  readonly parentHash: Bytes;
  readonly transactionsRoot: Bytes;
  readonly stateRoot: Bytes;
  readonly receiptsRoot: Bytes;
  readonly number: bigint;
  readonly timestamp: bigint;
}

export function decodeHeader(data: Bytes): EthereumHeader {
  if (data.length > MAX_HEADER_BYTES) throw malformed("header is too large");
  const items = asList(decodeRlp(data));
  if (!HEADER_LENGTHS.includes(items.length)) throw malformed("header has the fields of no known fork");
  for (const [place, size] of [[1, 32], [2, 20], [6, 256], [13, 32], [14, 8]] as const) {
    asBytes(items[place], size);
  }
  asInteger(items[7]);
  for (const place of [9, 10]) asInteger(items[place], 8);
  if (asBytes(items[12]).length > MAX_EXTRA_DATA) throw malformed("header has too much extra data");
  for (const place of [15, 17, 18]) if (place < items.length) asInteger(items[place]);
  for (const place of [16, 19, 20]) if (place < items.length) asBytes(items[place], HASH_SIZE);
  return {
    // The encoding is strict, so these bytes are the only form of the header.
    hash: keccak256(data),
    parentHash: asBytes(items[0], HASH_SIZE),
    stateRoot: asBytes(items[3], HASH_SIZE),
    transactionsRoot: asBytes(items[4], HASH_SIZE),
    receiptsRoot: asBytes(items[5], HASH_SIZE),
    number: asInteger(items[8], 8),
    timestamp: asInteger(items[11], 8),
  };
}

export interface Account {
  readonly balance: bigint;
  readonly storageRoot: Bytes;
  readonly codeHash: Bytes;
}

/** The account at `address`, or null if it is proven absent. */
export function verifyAccount(stateRoot: Bytes, address: Bytes, nodes: readonly Bytes[]): Account | null {
  const leaf = verifyTrie(stateRoot, keccak256(address), nodes);
  if (leaf === null) return null;
  const items = asList(decodeRlp(leaf));
  if (items.length !== 4) throw malformed("account does not have four fields");
  asInteger(items[0], 8);
  return { balance: asInteger(items[1]), storageRoot: asBytes(items[2], HASH_SIZE), codeHash: asBytes(items[3], HASH_SIZE) };
}

/** The 256-bit word at a slot; one that is proven absent holds zero. */
export function verifyStorage(storageRoot: Bytes, slot: bigint, nodes: readonly Bytes[]): bigint {
  const leaf = verifyTrie(storageRoot, keccak256(fromBigInt(slot, HASH_SIZE)), nodes);
  if (leaf === null) return 0n;
  const word = asInteger(decodeRlp(leaf));
  if (word === 0n) throw malformed("a stored word is never zero");
  return word;
}

// --- receipts ----------------------------------------------------------------------------------------------------------

/** Key of entry `index` in the tries of a block's transactions and receipts: its RLP. */
export const indexKey = (index: bigint): Bytes => encodeRlp(fromBigInt(index));

export interface Receipt {
  readonly succeeded: boolean;
  readonly logs: readonly { readonly address: Bytes; readonly topics: readonly Bytes[]; readonly data: Bytes }[];
}

/** A legacy or typed receipt after Byzantium (EIP-658, EIP-2718). */
export function decodeReceipt(data: Bytes): Receipt {
  if (data[0] === 0) throw malformed("a legacy receipt carries no type");
  const typed = data.length > 0 && (data[0] as number) <= MAX_TRANSACTION_TYPE;
  const items = asList(decodeRlp(typed ? data.slice(1) : data));
  if (items.length !== 4) throw malformed("receipt does not have four fields");
  const status = asInteger(items[0], 1);
  if (status > 1n) throw malformed("receipt status is neither success nor failure");
  const logs = asList(items[3]);
  if (logs.length > MAX_LOGS) throw malformed("receipt has too many logs");
  asInteger(items[1], 8);
  asBytes(items[2], 256);
  return { succeeded: status === 1n, logs: logs.map(decodeLog) };
}

function decodeLog(item: Rlp): Receipt["logs"][number] {
  const fields = asList(item);
  if (fields.length !== 3) throw malformed("log does not have three fields");
  const topics = asList(fields[1]);
  if (topics.length > MAX_TOPICS) throw malformed("log has too many topics");
  return {
    address: asBytes(fields[0], 20),
    topics: topics.map((topic) => asBytes(topic, HASH_SIZE)),
    data: asBytes(fields[2]),
  };
}

// --- the Merkle Patricia trie ------------------------------------------------------------------------------------------

/** The value of `key` under `root`, or null if the nodes prove that it has none. None of them to spare. */
export function verifyTrie(root: Bytes, key: Bytes, nodes: readonly Bytes[], maxNodeBytes = MAX_NODE_BYTES): Bytes | null {
  if (nodes.length > MAX_NODES || nodes.some((node) => node.length > maxNodeBytes)) {
    throw malformed("trie proof exceeds its limits");
  }
  if (equal(root, EMPTY_ROOT)) {
    if (nodes.length > 1 || nodes.some((node) => !equal(node, Uint8Array.of(STRING)))) {
      throw invalid("trie proof has nodes of an empty trie");
    }
    return null;
  }
  let used = 0;
  const fetch = (wanted: Bytes): Rlp[] => {
    const raw = nodes[used];
    if (raw === undefined) throw invalid("trie proof ends before the key does");
    if (!equal(keccak256(raw), wanted)) throw invalid("trie node does not have the hash its parent names");
    if (raw.length < HASH_SIZE && used > 0) throw malformed("a short trie node has to lie inside its parent");
    used++;
    return asList(decodeRlp(raw));
  };
  let path = nibbles(key);
  let node = fetch(root);
  for (;;) {
    const step = walk(node, path);
    if (step.child.length === 0) {
      if (used !== nodes.length) throw invalid("trie proof has more nodes than the path needs");
      return step.value;
    }
    path = step.path;
    node = Array.isArray(step.child) ? step.child : fetch(step.child);
  }
}

/** One step down; the child is empty if the walk ends. */
function walk(node: Rlp[], path: number[]): { value: Bytes | null; child: Rlp; path: number[] } {
  const end = (value: Bytes | null) => ({ value, child: new Uint8Array(), path });
  if (node.length === 17) {
    const [next, ...rest] = path;
    if (next === undefined) {
      const value = asBytes(node[16]);
      return end(value.length === 0 ? null : value);
    }
    return { value: null, child: childOf(node[next]), path: rest };
  }
  if (node.length !== 2) throw malformed("trie node has neither 2 nor 17 items");
  const { shared, isLeaf } = hexPrefix(asBytes(node[0]));
  if (isLeaf) {
    const value = asBytes(node[1]);
    if (value.length === 0) throw malformed("trie leaf is empty");
    return end(same(path, shared) ? value : null);
  }
  const child = childOf(node[1]);
  if (shared.length === 0 || child.length === 0) throw malformed("trie extension leads nowhere");
  if (!same(path.slice(0, shared.length), shared)) return end(null);
  return { value: null, child, path: path.slice(shared.length) };
}

/** A reference to a child: 32 bytes of hash, a short node in place, or nothing. */
function childOf(item: Rlp | undefined): Rlp {
  if (item === undefined) throw malformed("trie reference is not a hash");
  if (!Array.isArray(item)) {
    if (item.length !== 0 && item.length !== HASH_SIZE) throw malformed("trie reference is not a hash");
  } else if (item.length === 0 || encodeRlp(item).length >= HASH_SIZE) {
    throw malformed("a trie node in place is neither empty nor long");
  }
  return item;
}

function hexPrefix(encoded: Bytes): { shared: number[]; isLeaf: boolean } {
  const all = nibbles(encoded);
  const [kind, padding] = all;
  if (kind === undefined || kind > 3 || (!(kind & 1) && padding !== 0)) throw malformed("trie path is not canonical");
  return { shared: all.slice(kind & 1 ? 1 : 2), isLeaf: kind >= 2 };
}

const nibbles = (data: Bytes): number[] => Array.from(data).flatMap((byte) => [byte >> 4, byte & 15]);
const same = (one: readonly number[], other: readonly number[]): boolean =>
  one.length === other.length && one.every((nibble, place) => nibble === other[place]);
