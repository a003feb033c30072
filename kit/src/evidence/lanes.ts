/** The storage words of the HashedTimelock contract: where a lock's lane is, and what its word says. */
import { type Bytes, concat, fromBigInt, fromHex, keccak256, toBigInt } from "./bytes.js";
import { invalid, rejected } from "./errors.js";
import type { LockStatus, Terms } from "./questions.js";

const LOCK_ID = /^(0x[0-9a-f]{40})\/(0|[1-9][0-9]{0,9})\/(0|[1-9][0-9]{0,4})$/;
const ACCOUNT = /:(0x[0-9a-f]{40})$/;
const ASSET = /^[^/]+\/(?:slip44:60|erc20:(0x[0-9a-f]{40}))$/;
const MAX_LANE = 2n ** 32n - 1n;
const MAX_GENERATION = 2n ** 16n - 1n;
const STATUS = 0xffffn;
const COMMITMENT = (2n ** 224n - 1n) << 32n;
const STATUSES: Record<string, LockStatus> = { "1": "locked", "2": "claimed", "3": "refunded" };

export interface Lane {
  readonly sender: Bytes;
  readonly number: bigint;
  readonly generation: bigint;
}

export function parseLane(lockId: string): Lane {
  const [, sender, number, generation] = LOCK_ID.exec(lockId) ?? [];
  if (sender === undefined || BigInt(number as string) > MAX_LANE || BigInt(generation as string) > MAX_GENERATION) {
    throw rejected(`${JSON.stringify(lockId.slice(0, 128))} is not a lock id of an EVM chain`);
  }
  return { sender: fromHex(sender.slice(2)), number: BigInt(number as string), generation: BigInt(generation as string) };
}

export const laneSlot = (lane: Lane): bigint => (toBigInt(lane.sender) << 96n) | lane.number;

export function evmAddress(account: string): Bytes {
  const found = ACCOUNT.exec(account)?.[1];
  if (found === undefined) throw rejected(`${JSON.stringify(account.slice(0, 128))} is not an account of an EVM chain`);
  return fromHex(found.slice(2));
}

/** Status, generation and commitment (28 bytes) of a lane's word. */
export function splitLane(word: bigint): { status: LockStatus; generation: bigint; commitment: string } {
  if (word === 0n) return { status: "absent", generation: 0n, commitment: "00".repeat(28) };
  const status = STATUSES[(word & STATUS).toString()];
  if (status === undefined) throw invalid("the word is not that of a lane");
  const commitment = (word >> 32n).toString(16).padStart(56, "0");
  return { status, generation: (word >> 16n) & MAX_GENERATION, commitment };
}

/** Status, and if the terms are exactly these, of the lock that a lane's word shows. Generations wrap at 2¹⁶. */
export function readLane(word: bigint, terms: Terms, lane: Lane): { status: LockStatus; termsMatch: boolean } {
  const { status, generation } = splitLane(word);
  if (status === "absent") return { status, termsMatch: false };
  if (generation === lane.generation) return { status, termsMatch: word - (word & STATUS) === settledWord(terms, lane) };
  const ahead = (generation - lane.generation) & MAX_GENERATION;
  return { status: ahead <= MAX_GENERATION / 2n ? "superseded" : "absent", termsMatch: false };
}

/** How the contract packs them into one word: address 160 ‖ timelock 40 ‖ flags 8 ‖ generation 16 ‖ lane 32 bits. */
export const packedWord = (address: Bytes, timelock: bigint, lane: Lane): bigint => (toBigInt(address) << 96n) | (timelock << 56n) | (lane.generation << 32n) | lane.number;

function settledWord(terms: Terms, lane: Lane): bigint {
  const words = [BigInt(`0x${terms.hashlock}`), packedWord(evmAddress(terms.receiver), terms.timelock, lane), toBigInt(evmAddress(terms.sender)), terms.amount, assetWord(terms.asset)];
  const digest = keccak256(concat(...words.map((word) => fromBigInt(word, 32))));
  return (toBigInt(digest) & COMMITMENT) | (lane.generation << 16n);
}

function assetWord(asset: string): bigint {
  const found = ASSET.exec(asset);
  if (found === null) throw rejected(`${JSON.stringify(asset.slice(0, 128))} is neither the native coin nor an ERC-20 token`);
  return found[1] === undefined ? 0n : (1n << 160n) | BigInt(found[1]);
}
