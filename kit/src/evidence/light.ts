/** The way from an anchor to a header: light-client steps by more than ⅔ of the trusted power, then hash links back. */
import { ed25519 } from "@noble/curves/ed25519.js";
import { type Bytes, concat, equal, keccak256, toHex } from "./bytes.js";
import { hexBytes, items, type Json, type JsonObject, members, optional } from "./canonical.js";
import {
  type Commit,
  writeCommit,
  Flag,
  type Header,
  headerHash,
  readHeader,
  writeHeader,
  isNil,
  type LightBlock,
  signBytes,
  readSignedHeader,
  toNanos,
  type Validator,
  type ValidatorSet,
  validatorSetHash,
  readValidators,
  writeValidators,
} from "./cometbft.js";
import { malformed, ProofError, untrusted } from "./errors.js";
import { secp256k1 } from "./secp.js";

const MAX_STEPS = 256;
const MAX_LINKS = 1024;
const NANOS = 1_000_000_000n;
const MAX_CLOCK_DRIFT_NS = 10n * NANOS;
const HASH_SIZE = 32;
const MAX_CHAIN_ID_BYTES = 50;

/** What a verifier stands on, learnt out of band: one header of the consortium chain. */
export interface Anchor {
  readonly chain: string;
  readonly genesisHash: Bytes;
  readonly trustedHeight: bigint;
  readonly trustedHash: Bytes;
  readonly trustingPeriodS: bigint;
}

export interface Trail {
  readonly genesisHash: Bytes;
  readonly trusted: Header;
  readonly trustedNext: ValidatorSet | null;
  readonly steps: readonly LightBlock[];
  readonly links: readonly Header[];
}

/** The header that a trail leads to. */
export function target(trail: Trail): Header {
  return trail.links.at(-1) ?? trail.steps.at(-1)?.header ?? trail.trusted;
}

/** Prove that the trail's target is a header of the anchor's chain. Throws if it is not. */
export function verifyTrail(trail: Trail, anchor: Anchor, nowS: bigint): void {
  requireAnchor(trail, anchor);
  let header = trail.trusted;
  let next = trail.trustedNext;
  if (next !== null && !equal(validatorSetHash(next), header.nextValidatorsHash)) {
    throw untrusted("next validator set is not the one the trusted header announces");
  }
  for (const block of trail.steps) {
    verifyStep(header, next, block, nowS * NANOS, anchor.trustingPeriodS * NANOS);
    header = block.header;
    next = block.next ?? (equal(header.nextValidatorsHash, header.validatorsHash) ? block.validators : null);
  }
  for (const older of trail.links) {
    if (older.chainId !== header.chainId || older.height !== header.height - 1n) throw untrusted("header is not the one before");
    if (!equal(headerHash(older), header.lastBlockId.hash)) throw untrusted("header does not match the hash in its successor");
    header = older;
    requireGenesis(header, anchor);
  }
}

function requireAnchor(trail: Trail, anchor: Anchor): void {
  const wrong = (message: string): ProofError => new ProofError("wrong-anchor", message);
  if (`causeway:${trail.trusted.chainId}` !== anchor.chain) throw wrong("evidence is of another chain");
  if (!equal(trail.genesisHash, anchor.genesisHash)) {
    throw wrong("evidence is of another chain with the same name: its first block differs");
  }
  if (trail.trusted.height !== anchor.trustedHeight || !equal(headerHash(trail.trusted), anchor.trustedHash)) {
    throw wrong("evidence does not start at the anchor's header");
  }
  requireGenesis(trail.trusted, anchor);
}

function requireGenesis(header: Header, anchor: Anchor): void {
  if (isNil(header.lastBlockId) && !equal(headerHash(header), anchor.genesisHash)) {
    throw new ProofError("wrong-anchor", "the chain's first block is not the anchor's");
  }
}

function verifyStep(trusted: Header, next: ValidatorSet | null, block: LightBlock, nowNanos: bigint, periodNanos: bigint): void {
  const adjacent = block.header.height === trusted.height + 1n;
  if (!adjacent && next === null) throw malformed("trail skips heights without the trusted validator set");
  verifyTimes(trusted, block.header, nowNanos, periodNanos);
  verifyLightBlock(block, trusted.chainId);
  if (adjacent) {
    if (!equal(block.header.validatorsHash, trusted.nextValidatorsHash)) {
      throw untrusted("validator set is not the one the trusted header announced");
    }
    verifyCommit(block, null);
    return;
  }
  if (!equal(validatorSetHash(next as ValidatorSet), trusted.nextValidatorsHash)) {
    throw untrusted("next validator set is not the one the header announces");
  }
  verifyCommit(block, next);
}

function verifyTimes(trusted: Header, header: Header, nowNanos: bigint, periodNanos: bigint): void {
  if (periodNanos <= 0n) throw untrusted("trusting period must be positive");
  if (toNanos(trusted.time) + periodNanos <= nowNanos) {
    throw new ProofError("trust-expired", "trusted header is older than the trusting period");
  }
  if (toNanos(header.time) >= nowNanos + MAX_CLOCK_DRIFT_NS) throw untrusted("header is from the future");
  if (header.height <= trusted.height) throw untrusted("height does not increase");
  if (toNanos(header.time) <= toNanos(trusted.time)) throw untrusted("time does not increase");
}

function verifyLightBlock({ header, commit, validators, next }: LightBlock, chainId: string): void {
  if (header.chainId !== chainId) throw untrusted("header is of another chain");
  const size = new TextEncoder().encode(header.chainId).length;
  if (size === 0 || size > MAX_CHAIN_ID_BYTES || header.height <= 0n) throw untrusted("header has no usable chain id or height");
  const hashes = [header.validatorsHash, header.nextValidatorsHash, header.consensusHash];
  if (hashes.some((hash) => hash.length !== HASH_SIZE) || header.proposerAddress.length !== 20) {
    throw untrusted("header lacks a hash or its proposer");
  }
  if (commit.height !== header.height) throw untrusted("commit is for another height");
  if (!equal(commit.blockId.hash, headerHash(header))) throw untrusted("commit is for another header");
  if (!equal(validatorSetHash(validators), header.validatorsHash)) throw untrusted("validator set is not the header's");
  if (next !== null && !equal(validatorSetHash(next), header.nextValidatorsHash)) {
    throw untrusted("next validator set is not the one the header announces");
  }
}

/** More than ⅔ of the block's own validators signed, and with the same signatures more than ⅔ of `trusted`. */
function verifyCommit({ header, commit, validators }: LightBlock, trusted: ValidatorSet | null): void {
  if (commit.signatures.length !== validators.validators.length) throw untrusted("commit and validator set differ in length");
  let signed = 0n;
  let vouching = 0n;
  commit.signatures.forEach((entry, place) => {
    const validator = validators.validators[place] as Validator;
    if (entry.flag === Flag.ABSENT) return;
    if (!equal(entry.address, validator.address)) throw untrusted("commit entry is out of place");
    // An entry whose signature does not verify counts as absent.
    if (entry.flag !== Flag.COMMIT || !isSigned(header.chainId, commit, place, validator)) return;
    signed += validator.power;
    const known = trusted?.byAddress.get(toHex(validator.address));
    // A validator counts under the key that is trusted only.
    if (known !== undefined && known.kind === validator.kind && equal(known.key, validator.key)) vouching += known.power;
  });
  if (trusted !== null && 3n * vouching <= 2n * trusted.total) {
    throw new ProofError("not-enough-trust", "too few trusted validators signed");
  }
  if (3n * signed <= 2n * validators.total) throw untrusted("no more than 2/3 of the validators signed");
}

function isSigned(chainId: string, commit: Commit, place: number, validator: Validator): boolean {
  const entry = commit.signatures[place];
  if (entry === undefined) return false;
  const message = signBytes(chainId, commit, entry);
  try {
    if (validator.kind === "ed25519") {
      return entry.signature.length === 64 && ed25519.verify(entry.signature, message, validator.key, { zip215: true });
    }
    return recovers(keccak256(message), entry.signature, validator.key);
  } catch {
    return false;
  }
}

/** R‖S‖V over a digest, V 0 or 1 and S low (EIP-2). */
function recovers(digest: Bytes, signature: Bytes, key: Bytes): boolean {
  const [compact, v] = [signature.slice(0, 64), signature[64]];
  if (signature.length !== 65 || v === undefined || v > 1) return false;
  if (secp256k1().Signature.fromBytes(compact, "compact").hasHighS()) return false;
  const recovered = secp256k1().recoverPublicKey(concat(Uint8Array.of(v), compact), digest, { prehash: false });
  return equal(recovered, key);
}

// --- JSON ------------------------------------------------------------------------------------------------------------

export function readTrail(value: Json | undefined): Trail {
  const fields = members(value, "genesis_hash", "trusted", "trusted_next_validators", "steps", "links");
  return {
    genesisHash: hexBytes(fields.genesis_hash, HASH_SIZE),
    trusted: readHeader(fields.trusted),
    trustedNext: optional(fields.trusted_next_validators, readValidators),
    steps: items(fields.steps, MAX_STEPS).map((step) => {
      const parts = members(step, "signed_header", "validators", "next_validators");
      return {
        ...readSignedHeader(parts.signed_header),
        validators: readValidators(parts.validators),
        next: optional(parts.next_validators, readValidators),
      };
    }),
    links: items(fields.links, MAX_LINKS).map(readHeader),
  };
}

export const writeTrail = (trail: Trail): JsonObject => ({
  genesis_hash: toHex(trail.genesisHash),
  trusted: writeHeader(trail.trusted),
  trusted_next_validators: trail.trustedNext === null ? null : writeValidators(trail.trustedNext),
  steps: trail.steps.map(({ header, commit, validators, next }) => ({
    signed_header: { header: writeHeader(header), commit: writeCommit(commit) },
    validators: writeValidators(validators),
    next_validators: next === null ? null : writeValidators(next),
  })),
  links: trail.links.map(writeHeader),
});
