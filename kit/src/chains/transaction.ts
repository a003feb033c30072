/** Transactions of the consortium ledger, byte by byte as in docs/dapps/ledger-transactions.md. */
import { ed25519 } from "@noble/curves/ed25519.js";
import { type Bytes, concat, fromBigInt, sha256, toHex, utf8 } from "../evidence/bytes.js";
import { type Packed, pack } from "../evidence/msgpack.js";

const PREFIX = utf8("causeway transaction v1\0");
const CONSENT_PREFIX = utf8("causeway consent v1\0");

/** A key that signs for an account on the ledger. It has no way to show the secret. */
export interface LedgerKey {
  /** 32 bytes. */
  readonly publicKey: Bytes;
  sign(message: Bytes): Promise<Bytes> | Bytes;
}

/** An ed25519 key of a 32-byte seed. */
export function ledgerKey(seed: Bytes): LedgerKey {
  const secret = seed.slice();
  return Object.freeze({ publicKey: ed25519.getPublicKey(secret), sign: (message: Bytes) => ed25519.sign(message, secret) });
}

/** A key's account: the first 20 bytes of SHA-256 of the public key. */
export const ledgerAddress = (publicKey: Bytes): Bytes => sha256(publicKey).slice(0, 20);

/** An amount as the ledger writes it: minimal big-endian bytes. */
export const quantity = (amount: bigint): Bytes => fromBigInt(amount);

export const lockMessage = (symbol: string, amount: bigint, receiver: Bytes, hashlock: Bytes, timelockS: number): Packed => [
  "htlc/lock", symbol, quantity(amount), receiver, hashlock, BigInt(timelockS),
];
export const claimMessage = (locker: Bytes, preimage: Bytes): Packed => ["htlc/claim", locker, preimage];
export const refundMessage = (locker: Bytes, hashlock: Bytes): Packed => ["htlc/refund", locker, hashlock];
export const transferMessage = (symbol: string, receiver: Bytes, amount: bigint): Packed => ["bank/transfer", symbol, receiver, quantity(amount)];

/** What a transaction says before it is signed. `reference` is the chain's name without its namespace. */
export interface TransactionBody {
  readonly reference: string;
  readonly sequence: bigint;
  /** The last height at which it may be included. */
  readonly expiryHeight: bigint;
  readonly messages: readonly Packed[];
}

const encodeBody = (body: TransactionBody, publicKey: Bytes): Packed => [body.reference, publicKey, body.sequence, body.expiryHeight, [...body.messages]];

/** The bytes that the account's key signs. */
export const signBytes = (body: TransactionBody, publicKey: Bytes): Bytes => concat(PREFIX, pack(encodeBody(body, publicKey)));

/** The signed transaction and its hash. */
export async function signTransaction(body: TransactionBody, key: LedgerKey): Promise<{ raw: Bytes; hash: string }> {
  const signature = await key.sign(signBytes(body, key.publicKey));
  const raw = pack([encodeBody(body, key.publicKey), signature]);
  return { raw, hash: `0x${toHex(sha256(raw))}` };
}

/** The proof of funds on the ledger: public key ‖ signature, 96 bytes, over what a swap's opening says. */
export async function signConsent(genesisHash: Bytes, fields: readonly string[], key: LedgerKey): Promise<Bytes> {
  const message = concat(CONSENT_PREFIX, pack([genesisHash, ...fields]));
  return concat(key.publicKey, await key.sign(message));
}
