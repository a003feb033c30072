/**
 * From a beacon anchor to a final Ethereum header by sync committees, after the light client of the consensus
 * specifications, and stricter: more than ⅔ of each committee, finality in every update, and each adds something.
 *
 * Loaded when evidence needs it only, since BLS signatures are a third of the verifier's size: see `attested.ts`.
 */
import { bls12_381 } from "@noble/curves/bls12-381.js";
import { type BeaconAnchor, Fork, type Network } from "./beacon.js";
import { type Bytes, concat, equal, utf8 } from "./bytes.js";
import { invalid, ProofError, untrusted } from "./errors.js";
import { decodeHeader, type EthereumHeader } from "./ethereum.js";
import { type Committee, KEY_BYTES, type LightHeader, pair, type SyncChain, type SyncProof, type Update, ZERO } from "./updates.js";

export { readSync } from "./updates.js";

const MAX_CLOCK_DRIFT_S = 10n;
const DOMAIN_SYNC_COMMITTEE = Uint8Array.of(7, 0, 0, 0);
const DST = utf8("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_");
/** Generalized indices before Electra, and since. */
const FINALIZED_ROOT = [105, 169] as const;
const CURRENT_COMMITTEE = [54, 86] as const;
const NEXT_COMMITTEE = [55, 87] as const;
const EXECUTION_PAYLOAD = 25;

interface Store {
  readonly finalized: LightHeader;
  readonly current: Committee;
  readonly following: Committee | null;
}

/** Prove that the header is final by sync committees. Throws if it is not. */
export function verifySynced(chain: string, header: EthereumHeader, proof: SyncProof, anchor: BeaconAnchor, now: bigint): void {
  if (chain !== anchor.chain) throw new ProofError("wrong-anchor", "the beacon anchor is of another chain than the question");
  const final = verifySyncChain(proof.chain, anchor, now);
  if (final.execution === null) throw invalid("a beacon block before Capella shows no Ethereum block");
  let expected = final.execution.blockHash;
  for (const raw of proof.links) {
    const newer = decodeHeader(raw);
    if (!equal(newer.hash, expected)) throw invalid("a header does not lead back from the final one");
    expected = newer.parentHash;
  }
  if (!equal(header.hash, expected)) throw invalid("the header is not the one that sync committees call final");
}

function verifySyncChain(chain: SyncChain, anchor: BeaconAnchor, now: bigint): LightHeader {
  const { network } = anchor;
  let store = start(chain, anchor);
  if (network.genesisTime + store.finalized.beacon.slot * network.secondsPerSlot + anchor.trustingPeriodS <= now) {
    throw new ProofError("trust-expired", "the anchor's beacon block is older than its trusting period");
  }
  // Before genesis no slot has come yet; a division of bigints rounds towards zero.
  const since = now + MAX_CLOCK_DRIFT_S - network.genesisTime;
  const currentSlot = since < 0n ? -1n : since / network.secondsPerSlot;
  for (const update of chain.updates) store = movedOn(store, update, currentSlot, network);
  return store.finalized;
}

function start({ bootstrap: { header, committee, branch } }: SyncChain, anchor: BeaconAnchor): Store {
  requireHeader(header, anchor.network);
  if (!equal(header.beacon.root, anchor.trustedRoot)) {
    throw new ProofError("wrong-anchor", "the bootstrap is not of the anchor's beacon block");
  }
  requireCommittee(committee, anchor.network);
  requireBranch(committee.root, branch, CURRENT_COMMITTEE, header, anchor.network);
  return { finalized: header, current: committee, following: null };
}

function movedOn(store: Store, update: Update, currentSlot: bigint, network: Network): Store {
  const participants = update.participation.reduce((sum, byte) => sum + bitCount(byte), 0);
  if (participants * 3 < network.committeeSize * 2) throw untrusted("no more than ⅔ of the sync committee signed");
  if (update.finality === null) throw untrusted("the update does not say what is final");
  validate(store, update, participants, currentSlot, network);
  const after = applied(store, update, network);
  if (after === store) throw untrusted("the update adds nothing to what is known");
  return after;
}

const bitCount = (byte: number): number => byte.toString(2).replaceAll("0", "").length;

function validate(store: Store, update: Update, participants: number, currentSlot: bigint, network: Network): void {
  const { attested, signatureSlot } = update;
  if (participants < 1) throw untrusted("no member of the sync committee signed");
  requireHeader(attested, network);
  const slot = attested.beacon.slot;
  if (signatureSlot > currentSlot) throw untrusted("the update was signed in the future");
  if (!(signatureSlot > slot && slot >= finalizedSlot(update))) {
    throw untrusted("an update is signed after its header, and that one is not before the final one");
  }
  const period = periodOf(store.finalized.beacon.slot, network);
  const signedIn = periodOf(signatureSlot, network);
  if (signedIn !== period && (store.following === null || signedIn !== period + 1n)) {
    throw new ProofError("not-enough-trust", "the committee of the signature's period is not known yet");
  }
  const learns = store.following === null && update.following !== null && periodOf(slot, network) === period;
  if (slot <= store.finalized.beacon.slot && !learns) throw untrusted("the update is not newer than what is final already");
  requireFinality(update, network);
  requireFollowing(store, update, period, network);
  requireSignature(update, signedIn === period ? store.current : (store.following as Committee), network);
}

const finalizedSlot = (update: Update): bigint => update.finality?.header?.beacon.slot ?? 0n;

/** The store after a valid update of more than ⅔; the same object if it finalizes nothing. */
function applied(store: Store, update: Update, network: Network): Store {
  const slot = finalizedSlot(update);
  const finalizesNext =
    store.following === null &&
    update.following !== null &&
    periodOf(slot, network) === periodOf(update.attested.beacon.slot, network);
  if (slot <= store.finalized.beacon.slot && !finalizesNext) return store;
  const period = periodOf(store.finalized.beacon.slot, network);
  const following = update.following?.committee ?? null;
  let after = store;
  if (store.following === null) {
    if (periodOf(slot, network) !== period) {
      throw new ProofError("not-enough-trust", "the committee of the final header's period is not known yet");
    }
    if (following !== null) after = { ...after, following };
  } else if (periodOf(slot, network) === period + 1n) {
    after = { ...after, current: store.following, following };
  }
  const header = update.finality?.header ?? null;
  return header !== null && slot > store.finalized.beacon.slot ? { ...after, finalized: header } : after;
}

function requireHeader(header: LightHeader, network: Network): void {
  const fork = forkAt(header.beacon.slot, network).fork;
  if (fork < Fork.altair) throw untrusted("there are no sync committees before Altair");
  if ((header.execution === null) !== fork < Fork.capella) {
    throw untrusted("a header carries its execution header from Capella on");
  }
  if (header.execution === null) return;
  if (header.execution.hasBlobs !== fork >= Fork.deneb) throw untrusted("an execution header has its blob gas from Deneb on");
  if (!leadsTo(header.execution.root, header.executionBranch, EXECUTION_PAYLOAD, header.beacon.bodyRoot)) {
    throw untrusted("the beacon block does not carry this execution header");
  }
}

function requireFinality({ attested, finality }: Update, network: Network): void {
  if (finality === null) return;
  if (finality.header !== null) {
    if (finality.header.beacon.slot === 0n) throw untrusted("genesis is final without a header");
    requireHeader(finality.header, network);
  }
  requireBranch(finality.header?.beacon.root ?? ZERO, finality.branch, FINALIZED_ROOT, attested, network);
}

function requireFollowing(store: Store, { attested, following }: Update, period: bigint, network: Network): void {
  if (following === null) return;
  requireCommittee(following.committee, network);
  const known = periodOf(attested.beacon.slot, network) === period ? store.following : null;
  if (known !== null && !equal(known.root, following.committee.root)) {
    throw untrusted("the update names another next committee than the one that is known");
  }
  requireBranch(following.committee.root, following.branch, NEXT_COMMITTEE, attested, network);
}

function requireSignature(update: Update, committee: Committee, network: Network): void {
  if (update.participation.length * 8 !== network.committeeSize) {
    throw untrusted("participation has one bit for each member");
  }
  const keys = committee.keys.filter((_, place) => ((update.participation[place >> 3] as number) >> (place & 7)) & 1);
  if (!fastAggregateVerify(keys, signingRoot(update, network), update.signature)) {
    throw untrusted("the sync committee did not sign this header");
  }
}

function signingRoot(update: Update, network: Network): Bytes {
  const before = update.signatureSlot > 1n ? update.signatureSlot - 1n : 0n;
  const { version } = forkAt(before, network);
  const forkData = pair(concat(version, new Uint8Array(28)), network.genesisValidatorsRoot);
  return pair(update.attested.beacon.root, concat(DOMAIN_SYNC_COMMITTEE, forkData.slice(0, 28)));
}

function fastAggregateVerify(keys: readonly Bytes[], message: Bytes, signature: Bytes): boolean {
  const { G1, G2, longSignatures: bls } = bls12_381;
  try {
    let aggregate = G1.Point.ZERO;
    for (const raw of keys) {
      const key = G1.Point.fromBytes(raw);
      key.assertValidity(); // of the curve, of the subgroup, and not infinity
      aggregate = aggregate.add(key);
    }
    const point = G2.Point.fromBytes(signature);
    point.assertValidity();
    if (aggregate.is0() || point.is0()) return false;
    return bls.verify(point, bls.hash(message, DST), aggregate);
  } catch {
    return false;
  }
}

function requireCommittee(committee: Committee, network: Network): void {
  if (committee.keys.length !== network.committeeSize || committee.keys.some((key) => key.length !== KEY_BYTES)) {
    throw untrusted("a sync committee has the network's number of keys");
  }
}

function requireBranch(
  leaf: Bytes,
  branch: readonly Bytes[],
  indices: readonly [number, number],
  header: LightHeader,
  network: Network,
): void {
  const index = indices[forkAt(header.beacon.slot, network).fork >= Fork.electra ? 1 : 0];
  if (!leadsTo(leaf, branch, index, header.beacon.stateRoot)) throw untrusted("the state under the header does not have this");
}

function leadsTo(leaf: Bytes, branch: readonly Bytes[], index: number, root: Bytes): boolean {
  if (branch.length !== Math.floor(Math.log2(index))) return false;
  let [node, place] = [leaf, index];
  for (const sibling of branch) {
    node = place & 1 ? pair(sibling, node) : pair(node, sibling);
    place >>= 1;
  }
  return equal(node, root);
}

const periodOf = (slot: bigint, network: Network): bigint => slot / (network.slotsPerEpoch * network.epochsPerPeriod);

function forkAt(slot: bigint, network: Network): Network["forks"][number] {
  const epoch = slot / network.slotsPerEpoch;
  // The first one starts at epoch 0.
  return network.forks.filter((one) => one.epoch <= epoch).at(-1) as Network["forks"][number];
}
