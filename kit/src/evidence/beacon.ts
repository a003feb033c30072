/** Ethereum's beacon chain as a light client knows it: anchors, and light client data as the beacon API prints it. */
import { type Bytes, concat, fromBigInt, fromHex, sha256 } from "./bytes.js";
import { decimal, hexBytes, integer, items, type Json, type JsonObject, members, object, text } from "./canonical.js";
import { malformed } from "./errors.js";
import { chain, MAX_IDENTIFIER_CHARS } from "./identifiers.js";

const MAX_UINT64 = 2n ** 64n - 1n;
const MAX_WORD = 2n ** 256n - 1n;
const MAX_TRUSTING_PERIOD_S = 365n * 86_400n;
const MAX_BRANCH = 12;
const MAX_MEMBERS = 512;
const MAX_UPDATES = 32;
const MAX_EXTRA_DATA = 32;
export const KEY_BYTES = 48;
export const SIGNATURE_BYTES = 96;
const FORKS = ["phase0", "altair", "bellatrix", "capella", "deneb", "electra", "fulu"] as const;
const PREFIXED_HEX = /^0x(?:[0-9a-f]{2})*$/;
const CHUNK = 32;
export const ZERO = new Uint8Array(CHUNK);

/** The forks whose light client data is known here, by their place in `FORKS`. */
export const Fork = { phase0: 0, altair: 1, bellatrix: 2, capella: 3, deneb: 4, electra: 5, fulu: 6 } as const;

interface ForkStart {
  readonly fork: number;
  readonly epoch: bigint;
  readonly version: Bytes;
}

/** A beacon chain's parameters. Times are Unix seconds. */
export interface Network {
  readonly genesisTime: bigint;
  readonly genesisValidatorsRoot: Bytes;
  readonly secondsPerSlot: bigint;
  readonly slotsPerEpoch: bigint;
  readonly epochsPerPeriod: bigint;
  readonly committeeSize: number;
  readonly forks: readonly ForkStart[];
}

/** What a verifier of sync committees stands on, learnt out of band: one finalized beacon block. */
export interface BeaconAnchor {
  readonly chain: string;
  readonly network: Network;
  readonly trustedRoot: Bytes;
  readonly trustingPeriodS: bigint;
}

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

// --- anchors -----------------------------------------------------------------------------------------------------------

export const isBeaconAnchorFile = (value: Json): boolean =>
  value !== null && typeof value === "object" && !Array.isArray(value) && "trusted_root" in value;

/** The members of a beacon anchor's file, `version` apart. */
export function readBeaconAnchor(value: Json): BeaconAnchor {
  const numbers = ["genesis_time", "seconds_per_slot", "slots_per_epoch", "epochs_per_period", "committee_size"] as const;
  const others = ["version", "chain", "genesis_validators_root", "forks", "trusted_root", "trusting_period_s"] as const;
  const fields = members(value, ...others, ...numbers);
  const [genesis, seconds, slots, epochs, size] = numbers.map((name) => integer(fields[name])) as [bigint, bigint, bigint, bigint, bigint];
  const within = (number: bigint, most: bigint): boolean => number >= 1n && number <= most;
  if (genesis >= 1n << 40n || !within(seconds, 60n) || !within(slots, 64n) || !within(epochs, 1024n)) {
    throw malformed("no network has these parameters");
  }
  if (size !== 32n && size !== 512n) throw malformed("a sync committee has 32 or 512 members");
  const forks = items(fields.forks, FORKS.length).map(readFork);
  if (forks[0]?.epoch !== 0n) throw malformed("the schedule of forks begins at epoch 0");
  for (const [place, newer] of forks.entries()) {
    const older = forks[place - 1];
    if (older !== undefined && !(older.fork < newer.fork && older.epoch <= newer.epoch)) {
      throw malformed("the schedule of forks is not in order");
    }
  }
  return {
    chain: chain(text(fields.chain, MAX_IDENTIFIER_CHARS)),
    network: {
      genesisTime: genesis,
      genesisValidatorsRoot: sized(hexBytes(fields.genesis_validators_root, CHUNK), CHUNK),
      secondsPerSlot: seconds,
      slotsPerEpoch: slots,
      epochsPerPeriod: epochs,
      committeeSize: Number(size),
      forks,
    },
    trustedRoot: sized(hexBytes(fields.trusted_root, CHUNK), CHUNK),
    trustingPeriodS: integer(fields.trusting_period_s, MAX_TRUSTING_PERIOD_S),
  };
}

function readFork(value: Json): ForkStart {
  const fields = members(value, "fork", "epoch", "version");
  const fork = (FORKS as readonly string[]).indexOf(text(fields.fork, MAX_IDENTIFIER_CHARS));
  if (fork < 0) throw malformed("a fork that is not known here: a newer version may know it");
  return { fork, epoch: integer(fields.epoch), version: sized(hexBytes(fields.version, 4), 4) };
}

// --- light client data -------------------------------------------------------------------------------------------------

export function readSyncChain(bootstrap: Json, updates: Json): SyncChain {
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

function sized(raw: Bytes, size: number): Bytes {
  if (raw.length !== size) throw malformed(`${size} bytes are needed, not ${raw.length}`);
  return raw;
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
