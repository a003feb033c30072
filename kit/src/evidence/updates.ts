/** What sync committees signed, as the beacon API prints it, and the roots that it is hashed to. Reading proves nothing yet. */
import { sized } from "./beacon.js";
import { type Bytes, concat, fromBigInt, fromHex, sha256 } from "./bytes.js";
import { decimal, hexBytes, items, type Json, type JsonObject, members, object } from "./canonical.js";
import { malformed } from "./errors.js";
import { MAX_HEADER_BYTES } from "./ethereum.js";

const MAX_UINT64 = 2n ** 64n - 1n;
const MAX_WORD = 2n ** 256n - 1n;
const MAX_LINKS = 256;
const MAX_BRANCH = 12;
const MAX_MEMBERS = 512;
const MAX_UPDATES = 32;
const MAX_EXTRA_DATA = 32;
export const KEY_BYTES = 48;
const SIGNATURE_BYTES = 96;
const PREFIXED_HEX = /^0x(?:[0-9a-f]{2})*$/;
const CHUNK = 32;
export const ZERO = new Uint8Array(CHUNK);

export interface BeaconHeader {
  readonly slot: bigint;
  readonly bodyRoot: Bytes;
  readonly stateRoot: Bytes;
  readonly root: Bytes;
}

export interface LightHeader {
  readonly beacon: BeaconHeader;
  /** Its root, the Ethereum block's hash, and the members that came with Deneb, from Capella on. */
  readonly execution: { readonly root: Bytes; readonly blockHash: Bytes; readonly hasBlobs: boolean } | null;
  readonly executionBranch: readonly Bytes[];
}

export interface Committee {
  readonly keys: readonly Bytes[];
  readonly root: Bytes;
}

export interface Bootstrap {
  readonly header: LightHeader;
  readonly committee: Committee;
  readonly branch: readonly Bytes[];
}

export interface Update {
  readonly attested: LightHeader;
  readonly following: { readonly committee: Committee; readonly branch: readonly Bytes[] } | null;
  readonly finality: { readonly header: LightHeader | null; readonly branch: readonly Bytes[] } | null;
  readonly participation: Bytes;
  readonly signature: Bytes;
  readonly signatureSlot: bigint;
}

export interface SyncChain {
  readonly bootstrap: Bootstrap;
  readonly updates: readonly Update[];
}

export interface SyncProof {
  readonly chain: SyncChain;
  readonly links: readonly Bytes[];
}

// --- reading ----------------------------------------------------------------------------------------------------------

export function readSync(value: Json): SyncProof {
  const fields = members(value, "bootstrap", "updates", "links");
  const links = items(fields.links, MAX_LINKS).map((link) => hexBytes(link, MAX_HEADER_BYTES));
  return { chain: readSyncChain(fields.bootstrap, fields.updates), links };
}

function readSyncChain(bootstrap: Json, updates: Json): SyncChain {
  return { bootstrap: readBootstrap(bootstrap), updates: items(updates, MAX_UPDATES).map(readUpdate) };
}

function readBootstrap(value: Json): Bootstrap {
  const fields = members(value, "header", "current_sync_committee", "current_sync_committee_branch");
  return {
    header: readLightHeader(fields.header),
    committee: readCommittee(fields.current_sync_committee),
    branch: readBranch(fields.current_sync_committee_branch),
  };
}

function readUpdate(value: Json): Update {
  const hasNext = has(value, "next_sync_committee");
  const signed = ["attested_header", "finalized_header", "finality_branch", "sync_aggregate", "signature_slot"] as const;
  const next = ["next_sync_committee", "next_sync_committee_branch"] as const;
  const fields = members<(typeof signed)[number] | (typeof next)[number]>(value, ...signed, ...(hasNext ? next : []));
  const following = hasNext
    ? { committee: readCommittee(fields.next_sync_committee), branch: readBranch(fields.next_sync_committee_branch) }
    : null;
  const branch = readBranch(fields.finality_branch);
  const header = fields.finalized_header === null ? null : readLightHeader(fields.finalized_header);
  if (branch.length === 0 && header !== null) throw malformed("a final header without its branch");
  const aggregate = members(fields.sync_aggregate, "sync_committee_bits", "sync_committee_signature");
  return {
    attested: readLightHeader(fields.attested_header),
    following,
    finality: branch.length === 0 ? null : { header, branch },
    participation: prefixed(aggregate.sync_committee_bits, MAX_MEMBERS / 8),
    signature: exactly(aggregate.sync_committee_signature, SIGNATURE_BYTES),
    signatureSlot: decimal(fields.signature_slot, MAX_UINT64),
  };
}

function readLightHeader(value: Json): LightHeader {
  const hasExecution = has(value, "execution");
  const names = ["execution", "execution_branch"] as const;
  const fields = members<"beacon" | (typeof names)[number]>(value, "beacon", ...(hasExecution ? names : []));
  const parts = members(fields.beacon, "slot", "proposer_index", "parent_root", "state_root", "body_root");
  const [slot, proposer] = [decimal(parts.slot, MAX_UINT64), decimal(parts.proposer_index, MAX_UINT64)];
  const roots = [parts.parent_root, parts.state_root, parts.body_root].map((root) => exactly(root, CHUNK));
  const [, stateRoot, bodyRoot] = roots as [Bytes, Bytes, Bytes];
  const beacon = { slot, stateRoot, bodyRoot, root: merkleize([numberRoot(slot), numberRoot(proposer), ...roots]) };
  if (!hasExecution) return { beacon, execution: null, executionBranch: [] };
  return { beacon, execution: readExecution(fields.execution), executionBranch: readBranch(fields.execution_branch) };
}

const number = (value: Json): Bytes => numberRoot(decimal(value, MAX_UINT64));
const root = (value: Json): Bytes => exactly(value, CHUNK);
/** The members of an execution header in their order, each read into the root that it is hashed as. */
const EXECUTION: readonly (readonly [string, (value: Json) => Bytes])[] = [
  ["parent_hash", root],
  ["fee_recipient", (value) => bytesRoot(exactly(value, 20))],
  ["state_root", root],
  ["receipts_root", root],
  ["logs_bloom", (value) => bytesRoot(exactly(value, 256))],
  ["prev_randao", root],
  ["block_number", number],
  ["gas_limit", number],
  ["gas_used", number],
  ["timestamp", number],
  ["extra_data", (value) => byteListRoot(prefixed(value, MAX_EXTRA_DATA))],
  ["base_fee_per_gas", (value) => numberRoot(decimal(value, MAX_WORD))],
  ["block_hash", root],
  ["transactions_root", root],
  ["withdrawals_root", root],
];
const BLOBS: readonly (readonly [string, (value: Json) => Bytes])[] = [
  ["blob_gas_used", number],
  ["excess_blob_gas", number],
];

function readExecution(value: Json): LightHeader["execution"] {
  const hasBlobs = has(value, "blob_gas_used");
  const parts = hasBlobs ? [...EXECUTION, ...BLOBS] : EXECUTION;
  const fields: JsonObject = members(value, ...parts.map(([name]) => name));
  const chunks = parts.map(([name, read]) => read(fields[name] as Json));
  return { root: merkleize(chunks), blockHash: root(fields.block_hash as Json), hasBlobs };
}

function readCommittee(value: Json): Committee {
  const fields = members(value, "pubkeys", "aggregate_pubkey");
  const keys = items(fields.pubkeys, MAX_MEMBERS).map((key) => exactly(key, KEY_BYTES));
  const aggregate = exactly(fields.aggregate_pubkey, KEY_BYTES);
  return { keys, root: pair(merkleize(keys.map(bytesRoot)), bytesRoot(aggregate)) };
}

const readBranch = (value: Json): Bytes[] => items(value, MAX_BRANCH).map((node) => exactly(node, CHUNK));

const has = (value: Json, name: string): boolean =>
  value !== null && typeof value === "object" && !Array.isArray(value) && name in object(value);

function prefixed(value: Json, most: number): Bytes {
  if (typeof value !== "string" || value.length > 2 * most + 2 || !PREFIXED_HEX.test(value)) {
    throw malformed("not lower-case 0x hex within its limit");
  }
  return fromHex(value.slice(2));
}

function exactly(value: Json, size: number): Bytes {
  return sized(prefixed(value, size), size);
}

// --- SSZ (consensus-specs `ssz/simple-serialize.md`) -------------------------------------------------------------------

export const pair = (left: Bytes, right: Bytes): Bytes => sha256(left, right);

/** The root over chunks, padded with zeros to a power of two. */
export function merkleize(chunks: readonly Bytes[]): Bytes {
  let nodes = [...chunks];
  for (let zero: Bytes = ZERO; nodes.length > 1; zero = pair(zero, zero)) {
    if (nodes.length % 2) nodes.push(zero);
    nodes = nodes.flatMap((node, place) => (place % 2 ? [] : [pair(node, nodes[place + 1] as Bytes)]));
  }
  return nodes[0] ?? ZERO;
}

function bytesRoot(raw: Bytes): Bytes {
  const chunks: Bytes[] = [];
  for (let start = 0; start < raw.length; start += CHUNK) {
    const part = raw.slice(start, start + CHUNK);
    chunks.push(concat(part, new Uint8Array(CHUNK - part.length)));
  }
  return merkleize(chunks);
}

const numberRoot = (value: bigint): Bytes => fromBigInt(value, CHUNK).reverse();
const byteListRoot = (raw: Bytes): Bytes => pair(bytesRoot(raw), numberRoot(BigInt(raw.length)));
