/** CometBFT's headers, commits and validator sets: from the RPC's JSON, and their hashes and sign bytes. */
import { type Bytes, compare, concat, fromHex, keccak256, sha256, toHex, utf8 } from "./bytes.js";
import { type Json, type JsonObject, object } from "./canonical.js";
import { malformed } from "./errors.js";
import { secp256k1 } from "./secp.js";
import { bytesField, delimited, messageField, sfixed64Field, varintField } from "./protobuf.js";
import { merkleRoot } from "./trees.js";

const MAX_CHAIN_ID_BYTES = 50;
const MAX_HASH_BYTES = 64;
const MAX_SIGNATURE_BYTES = 128;
const MAX_VALIDATORS = 10_000;
const MAX_INT64 = (1n << 63n) - 1n;
const MAX_TOTAL_POWER = MAX_INT64 / 8n;
const NANOS_PER_SECOND = 1_000_000_000n;
/** 0001-01-01T00:00:00Z, what an absent signature carries in place of a time. */
const GO_ZERO_SECONDS = -62_135_596_800n;
const MAX_SECONDS = 253_402_300_799n;
const PRECOMMIT = 2n;
const TIME = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?Z$/;
const INTEGER = /^-?(?:0|[1-9][0-9]{0,19})$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export interface Timestamp {
  readonly seconds: bigint;
  readonly nanos: bigint;
}

export interface BlockId {
  readonly hash: Bytes;
  readonly total: bigint;
  readonly partsHash: Bytes;
}

export interface Header {
  readonly blockVersion: bigint;
  readonly appVersion: bigint;
  readonly chainId: string;
  readonly height: bigint;
  readonly time: Timestamp;
  readonly lastBlockId: BlockId;
  readonly lastCommitHash: Bytes;
  readonly dataHash: Bytes;
  readonly validatorsHash: Bytes;
  readonly nextValidatorsHash: Bytes;
  readonly consensusHash: Bytes;
  readonly appHash: Bytes;
  readonly lastResultsHash: Bytes;
  readonly evidenceHash: Bytes;
  readonly proposerAddress: Bytes;
}

export enum Flag {
  ABSENT = 1,
  COMMIT = 2,
  NIL = 3,
}

export interface CommitSig {
  readonly flag: Flag;
  readonly address: Bytes;
  readonly timestamp: Timestamp;
  readonly signature: Bytes;
}

export interface Commit {
  readonly height: bigint;
  readonly round: bigint;
  readonly blockId: BlockId;
  readonly signatures: readonly CommitSig[];
}

export type KeyKind = "ed25519" | "secp256k1eth";

export interface Validator {
  readonly kind: KeyKind;
  readonly key: Bytes;
  readonly address: Bytes;
  readonly power: bigint;
}

export interface ValidatorSet {
  readonly validators: readonly Validator[];
  readonly total: bigint;
  readonly byAddress: ReadonlyMap<string, Validator>;
}

export interface LightBlock {
  readonly header: Header;
  readonly commit: Commit;
  readonly validators: ValidatorSet;
  readonly next: ValidatorSet | null;
}

export const toNanos = (time: Timestamp): bigint => time.seconds * NANOS_PER_SECOND + time.nanos;
export const isNil = (id: BlockId): boolean => id.hash.length === 0 && id.partsHash.length === 0 && id.total === 0n;

// --- hashes and sign bytes -----------------------------------------------------------------------------------------

const encodeTime = (time: Timestamp): Bytes => concat(varintField(1, time.seconds), varintField(2, time.nanos));

const encodeBlockId = (id: BlockId): Bytes =>
  concat(bytesField(1, id.hash), messageField(2, concat(varintField(1, id.total), bytesField(2, id.partsHash))));

/** Block hash: root over the header's 14 leaves. */
export function headerHash(header: Header): Bytes {
  const wrapped = [
    header.lastCommitHash,
    header.dataHash,
    header.validatorsHash,
    header.nextValidatorsHash,
    header.consensusHash,
    header.appHash,
    header.lastResultsHash,
    header.evidenceHash,
    header.proposerAddress,
  ];
  return merkleRoot([
    concat(varintField(1, header.blockVersion), varintField(2, header.appVersion)),
    bytesField(1, utf8(header.chainId)),
    varintField(1, header.height),
    encodeTime(header.time),
    encodeBlockId(header.lastBlockId),
    ...wrapped.map((value) => bytesField(1, value)),
  ]);
}

const KEY_FIELD: Record<KeyKind, number> = { ed25519: 1, secp256k1eth: 5 };
const KEY_SIZE: Record<KeyKind, number> = { ed25519: 32, secp256k1eth: 33 };

export function validatorSetHash(set: ValidatorSet): Bytes {
  return merkleRoot(
    set.validators.map(({ kind, key, power }) =>
      concat(messageField(1, messageField(KEY_FIELD[kind], key)), varintField(2, power)),
    ),
  );
}

/** The bytes that validators sign for one entry of a commit (CanonicalVote). */
export function signBytes(chainId: string, commit: Commit, entry: CommitSig): Bytes {
  return delimited(
    concat(
      varintField(1, PRECOMMIT),
      sfixed64Field(2, commit.height),
      sfixed64Field(3, commit.round),
      isNil(commit.blockId) ? new Uint8Array() : messageField(4, encodeBlockId(commit.blockId)),
      messageField(5, encodeTime(entry.timestamp)),
      bytesField(6, utf8(chainId)),
    ),
  );
}

/** Validators in canonical order: power descending, then address ascending. */
export function validatorSet(members: readonly Validator[]): ValidatorSet {
  if (members.length === 0 || members.length > MAX_VALIDATORS) throw malformed("validator set has an unacceptable size");
  if (members.some(({ power }) => power <= 0n)) throw malformed("validator power must be positive");
  const validators = [...members].sort((one, other) =>
    one.power === other.power ? compare(one.address, other.address) : one.power > other.power ? -1 : 1,
  );
  const byAddress = new Map(validators.map((validator) => [toHex(validator.address), validator]));
  if (byAddress.size !== validators.length) throw malformed("validator set names an address twice");
  const total = validators.reduce((sum, { power }) => sum + power, 0n);
  if (total > MAX_TOTAL_POWER) throw malformed("total voting power is too large");
  return { validators, total, byAddress };
}

function addressOf(kind: KeyKind, key: Bytes): Bytes {
  if (kind === "ed25519") return sha256(key).slice(0, 20);
  const curve = secp256k1();
  try {
    return keccak256(curve.Point.fromBytes(key).toBytes(false).slice(1)).slice(-20);
  } catch {
    throw malformed("validator key is not a point on secp256k1");
  }
}

// --- the RPC's JSON ------------------------------------------------------------------------------------------------

const upperHex = (bytes: Bytes): string => toHex(bytes).toUpperCase();

function readHex(value: Json | undefined): Bytes {
  if (typeof value !== "string" || value.length > 2 * MAX_HASH_BYTES) throw malformed("value is not a hex string within its limit");
  return fromHex(value.toLowerCase());
}

const writeBase64 = (bytes: Bytes): string => btoa(String.fromCharCode(...bytes));

function readBase64(value: Json | undefined, limit: number): Bytes {
  if (value === null || value === undefined) return new Uint8Array();
  if (typeof value !== "string" || value.length > 4 * (Math.floor(limit / 3) + 1) || !BASE64.test(value)) {
    throw malformed("value is not base64 within its limit");
  }
  const bytes = Uint8Array.from(atob(value), (character) => character.charCodeAt(0));
  if (bytes.length > limit || writeBase64(bytes) !== value) throw malformed("value is not canonical base64");
  return bytes;
}

function readInteger(value: Json | undefined, low = 0n, high = MAX_INT64): bigint {
  const number = typeof value === "string" && INTEGER.test(value) ? BigInt(value) : value;
  if (typeof number !== "bigint" || number < low || number > high) throw malformed("value is not an integer in its range");
  return number;
}

function readString(value: Json | undefined, limit: number): string {
  // `isWellFormed` is younger than Node 20's types: a lone surrogate becomes U+FFFD in UTF-8.
  if (typeof value !== "string" || utf8(value).length > limit || new TextDecoder().decode(utf8(value)) !== value) {
    throw malformed("value is not a string within its limit");
  }
  return value;
}

function readTime(value: Json | undefined): Timestamp {
  const found = typeof value === "string" ? TIME.exec(value) : null;
  if (found === null) throw malformed("time is not RFC 3339 in UTC");
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map(Number) as [number, number, number, number, number, number];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const exists = date.getUTCMonth() === month - 1 && date.getUTCDate() === day && hour < 24 && minute < 60 && second < 60;
  const seconds = BigInt(Math.round(date.getTime() / 1000));
  if (!exists || year < 1 || seconds < GO_ZERO_SECONDS || seconds > MAX_SECONDS) throw malformed("time does not exist");
  return { seconds, nanos: BigInt((found[7] ?? "").padEnd(9, "0")) };
}

function writeTime({ seconds, nanos }: Timestamp): string {
  const date = new Date(Number(seconds) * 1000);
  const whole = date.toISOString().slice(0, 19);
  const fraction = nanos === 0n ? "" : `.${nanos.toString().padStart(9, "0")}`.replace(/0+$/, "");
  return `${whole}${fraction}Z`;
}

function readBlockId(value: Json | undefined): BlockId {
  if (value === null || value === undefined) return { hash: new Uint8Array(), total: 0n, partsHash: new Uint8Array() };
  const fields = object(value);
  const parts = object(fields["parts"] ?? {});
  return {
    hash: readHex(fields["hash"] ?? ""),
    total: readInteger(parts["total"] ?? 0n, 0n, (1n << 32n) - 1n),
    partsHash: readHex(parts["hash"] ?? ""),
  };
}

const writeBlockId = (id: BlockId): JsonObject => ({
  hash: upperHex(id.hash),
  parts: { total: id.total, hash: upperHex(id.partsHash) },
});

export function readHeader(value: Json | undefined): Header {
  const fields = object(value);
  const version = object(fields["version"]);
  return {
    blockVersion: readInteger(version["block"] ?? 0n),
    appVersion: readInteger(version["app"] ?? 0n),
    chainId: readString(fields["chain_id"], MAX_CHAIN_ID_BYTES),
    height: readInteger(fields["height"]),
    time: readTime(fields["time"]),
    lastBlockId: readBlockId(fields["last_block_id"]),
    lastCommitHash: readHex(fields["last_commit_hash"]),
    dataHash: readHex(fields["data_hash"]),
    validatorsHash: readHex(fields["validators_hash"]),
    nextValidatorsHash: readHex(fields["next_validators_hash"]),
    consensusHash: readHex(fields["consensus_hash"]),
    appHash: readHex(fields["app_hash"]),
    lastResultsHash: readHex(fields["last_results_hash"]),
    evidenceHash: readHex(fields["evidence_hash"]),
    proposerAddress: readHex(fields["proposer_address"]),
  };
}

export const writeHeader = (header: Header): JsonObject => ({
  version: {
    block: header.blockVersion.toString(),
    ...(header.appVersion === 0n ? {} : { app: header.appVersion.toString() }),
  },
  chain_id: header.chainId,
  height: header.height.toString(),
  time: writeTime(header.time),
  last_block_id: writeBlockId(header.lastBlockId),
  last_commit_hash: upperHex(header.lastCommitHash),
  data_hash: upperHex(header.dataHash),
  validators_hash: upperHex(header.validatorsHash),
  next_validators_hash: upperHex(header.nextValidatorsHash),
  consensus_hash: upperHex(header.consensusHash),
  app_hash: upperHex(header.appHash),
  last_results_hash: upperHex(header.lastResultsHash),
  evidence_hash: upperHex(header.evidenceHash),
  proposer_address: upperHex(header.proposerAddress),
});

function readCommit(value: Json | undefined): Commit {
  if (value === null || value === undefined) return { height: 0n, round: 0n, blockId: readBlockId(null), signatures: [] };
  const fields = object(value);
  const entries = fields["signatures"] ?? [];
  if (!Array.isArray(entries) || entries.length > MAX_VALIDATORS) throw malformed("value is not a JSON list within its limit");
  return {
    height: readInteger(fields["height"]),
    round: readInteger(fields["round"], 0n, (1n << 31n) - 1n),
    blockId: readBlockId(fields["block_id"]),
    signatures: entries.map((entry) => {
      const one = object(entry);
      return {
        flag: Number(readInteger(one["block_id_flag"], 1n, 3n)) as Flag,
        address: readHex(one["validator_address"]),
        timestamp: readTime(one["timestamp"]),
        signature: readBase64(one["signature"], MAX_SIGNATURE_BYTES),
      };
    }),
  };
}

export const writeCommit = (commit: Commit): JsonObject => ({
  height: commit.height.toString(),
  round: commit.round,
  block_id: writeBlockId(commit.blockId),
  signatures: commit.signatures.map((entry) => ({
    block_id_flag: BigInt(entry.flag),
    validator_address: upperHex(entry.address),
    timestamp: writeTime(entry.timestamp),
    signature: entry.signature.length === 0 ? null : writeBase64(entry.signature),
  })),
});

export function readSignedHeader(value: Json | undefined): { header: Header; commit: Commit } {
  const fields = object(value);
  const commit = readCommit(fields["commit"]);
  for (const entry of commit.signatures) {
    const empty = entry.address.length === 0 && entry.signature.length === 0 && toNanos(entry.timestamp) === GO_ZERO_SECONDS * NANOS_PER_SECOND;
    if (entry.flag === Flag.ABSENT && !empty) throw malformed("an absent validator's entry is not empty");
  }
  return { header: readHeader(fields["header"]), commit };
}

const KEY_TYPES: Record<string, KeyKind> = {
  "tendermint/PubKeyEd25519": "ed25519",
  "tendermint/PubKeySecp256k1eth": "secp256k1eth",
};
const KEY_NAMES: Record<KeyKind, string> = {
  ed25519: "tendermint/PubKeyEd25519",
  secp256k1eth: "tendermint/PubKeySecp256k1eth",
};

export function readValidators(value: Json | undefined): ValidatorSet {
  if (!Array.isArray(value) || value.length > MAX_VALIDATORS) throw malformed("value is not a JSON list within its limit");
  return validatorSet(
    value.map((member) => {
      const fields = object(member);
      const held = object(fields["pub_key"]);
      const name = readString(held["type"], MAX_HASH_BYTES);
      const kind = Object.hasOwn(KEY_TYPES, name) ? KEY_TYPES[name] : undefined;
      if (kind === undefined) throw malformed("validator key type is not supported");
      const key = readBase64(held["value"], MAX_HASH_BYTES);
      if (key.length !== KEY_SIZE[kind]) throw malformed("validator key has the wrong length");
      const address = addressOf(kind, key);
      if (toHex(readHex(fields["address"])) !== toHex(address)) throw malformed("validator address is not its key's");
      return { kind, key, address, power: readInteger(fields["voting_power"]) };
    }),
  );
}

export const writeValidators = (set: ValidatorSet): Json =>
  set.validators.map(({ kind, key, address, power }) => ({
    address: upperHex(address),
    pub_key: { type: KEY_NAMES[kind], value: writeBase64(key) },
    voting_power: power.toString(),
    // Proposer priorities are in no hash, so they are written as zero.
    proposer_priority: "0",
  }));
