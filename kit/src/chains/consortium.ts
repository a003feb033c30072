/** A consortium chain through the RPC of its nodes: blocks are final at once, and the ledger keeps the locks itself. */
import { type Bytes, concat, equal, fromHex, toBigInt, toHex, utf8 } from "../evidence/bytes.js";
import { lockLeaf } from "../evidence/leaves.js";
import { unpack } from "../evidence/msgpack.js";
import { CausewayError, rejected, unavailable } from "../errors.js";
import type { QuoteBody } from "../swap/quote.js";
import type { Terms } from "../swap/terms.js";
import type { ChainTiming } from "../swap/timelocks.js";
import { type Endpoint, Endpoints, type Fetch, RefusedCall, shown } from "./endpoints.js";
import type { At, Costs, Head, LockFact, Sent, SwapChain } from "./port.js";
import { type LedgerKey, claimMessage, ledgerAddress, lockMessage, quantity, refundMessage, signConsent, signTransaction } from "./transaction.js";

export interface ConsortiumSettings {
  /** CAIP-2, such as `causeway:devnet-1`. */
  readonly id: string;
  /** The first block's hash in hex. */
  readonly genesis: string;
  readonly endpoints: readonly Endpoint[];
  readonly timing: ChainTiming;
  readonly key: LedgerKey;
  readonly fetch?: Fetch;
}

const EXPIRY_BLOCKS = 30;
const MAX_LEAF_BYTES = 64 * 1024;
const KNOWN_ALREADY = /already exists in cache/;
/** How a node says that it has no block of this height yet, or keeps it no longer (CometBFT, `rpc/core/env.go`). */
const NO_SUCH_BLOCK = /height \d+ (?:is not available|must be less than or equal)/;
const HASH = /^[0-9a-f]{64}$/;

export class ConsortiumChain implements SwapChain {
  readonly id: string;
  readonly account: string;
  readonly timing: ChainTiming;
  private readonly endpoints: Endpoints;
  private readonly address: Bytes;
  private readonly reference: string;
  private readonly genesis: Bytes;

  constructor(private readonly settings: ConsortiumSettings) {
    this.id = settings.id;
    this.timing = settings.timing;
    this.endpoints = new Endpoints(settings.endpoints, settings.fetch, (url) => this.identify(url));
    this.address = ledgerAddress(settings.key.publicKey);
    this.reference = settings.id.split(":")[1] ?? "";
    this.account = `${settings.id}:${toHex(this.address)}`;
    this.genesis = fromHex(settings.genesis.replace(/^0x/, "").toLowerCase());
    if (!settings.id.startsWith("causeway:") || this.genesis.length !== 32) throw rejected("a consortium chain is configured by its id, causeway:…, and the 32 bytes of its genesis hash");
  }

  async head(at: At): Promise<Head> {
    void at; // every block is final
    const height = await this.height();
    return { height, timeS: await this.clock(height) };
  }

  /** The ledger itself: of which chain a node is, its first block says before anything else is asked of it. */
  checkHolder(): Promise<void> {
    return Promise.resolve();
  }

  checkEndpoints(): Promise<void> {
    return this.endpoints.checkIdentity();
  }

  blockHash(height: number): Promise<string | undefined> {
    return this.endpoints.agreed((url) => this.hashAt(url, height));
  }

  private async hashAt(url: string, height: number): Promise<string | undefined> {
    try {
      const answer = (await this.endpoints.call(url, "block", { height: String(height) })) as { block_id?: { hash?: unknown } };
      const hash = String(answer.block_id?.hash).toLowerCase();
      if (!HASH.test(hash)) throw unavailable(`a node shows block ${height} without its hash`);
      return hash;
    } catch (error) {
      if (error instanceof RefusedCall && NO_SUCH_BLOCK.test(error.message)) return undefined;
      throw error;
    }
  }

  /** A node's first block or, of one that keeps it no longer, its own word for the chain's name. */
  private async identify(url: string): Promise<void> {
    const first = await this.hashAt(url, 1);
    if (first === undefined) {
      const { node_info: info } = (await this.endpoints.call(url, "status", {})) as { node_info?: { network?: unknown } };
      if (info?.network !== this.reference) throw rejected(`the endpoint ${shown(url)} is of ${String(info?.network).slice(0, 64)}, not of ${this.id}: correct its URL`);
    } else if (first !== toHex(this.genesis)) {
      throw rejected(`the endpoint ${shown(url)} serves another ${this.id}, whose first block is ${first}: correct its URL or the genesis`);
    }
  }

  place(terms: Terms): Promise<string> {
    return Promise.resolve(placeOf(terms));
  }

  async readLock(terms: Terms, place: string, at: At): Promise<LockFact> {
    if (place !== placeOf(terms)) throw rejected("this place is another lock's");
    const { height, timeS } = await this.head(at);
    const raw = await this.leaf(concat(utf8("htlc/lock/"), rawAddress(terms.sender), terms.hashlock), height);
    if (raw === undefined) return { status: "absent", termsMatch: false, place, height, timeS };
    const lock = lockLeaf(raw);
    const termsMatch =
      `${this.id}/asset:${lock.asset}` === terms.asset && equal(lock.amount, quantity(terms.amount)) && equal(lock.sender, rawAddress(terms.sender)) &&
      equal(lock.receiver, rawAddress(terms.receiver)) && equal(lock.hashlock, terms.hashlock) && lock.timelock === BigInt(terms.timelock);
    return { status: lock.status, termsMatch, place, height, timeS };
  }

  async findLock(terms: Terms): Promise<LockFact | undefined> {
    const found = await this.readLock(terms, placeOf(terms), "finalized");
    return found.status === "absent" ? undefined : found;
  }

  /** What our account has of an asset, in base units, as a quorum shows it. */
  async balance(asset: string): Promise<bigint> {
    const raw = await this.leaf(concat(utf8("bank/account/"), this.address), await this.height());
    const [, balances] = raw === undefined ? [] : (unpack(raw) as unknown[]);
    const found = Array.isArray(balances) ? (balances as unknown[]).find((one) => Array.isArray(one) && one[0] === symbolOf(asset)) : undefined;
    const amount = Array.isArray(found) ? (found as unknown[])[1] : undefined;
    return amount instanceof Uint8Array ? toBigInt(amount) : 0n;
  }

  /** The ledger pays every claim of an asset that it has. */
  async checkPayout(terms: Terms): Promise<void> {
    const symbol = symbolOf(terms.asset);
    if ((await this.leaf(utf8(`bank/asset/${symbol}`), await this.height())) === undefined) throw unavailable(`${this.id} has no asset ${symbol}: no claim of it could pay`, "payout-blocked");
  }

  /** Transactions cost nothing here. */
  checkPurse(): Promise<void> {
    return Promise.resolve();
  }

  costs(): Promise<Costs | undefined> {
    return Promise.resolve(undefined);
  }

  /** Nothing is offered here, so that nothing is outbid. */
  outbid(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  prepare(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  lock(terms: Terms): Promise<Sent> {
    return this.send(lockMessage(symbolOf(terms.asset), terms.amount, rawAddress(terms.receiver), terms.hashlock, terms.timelock));
  }

  claim(terms: Terms, _place: string, preimage: Bytes): Promise<Sent> {
    return this.send(claimMessage(rawAddress(terms.sender), preimage));
  }

  refund(terms: Terms): Promise<Sent> {
    return this.send(refundMessage(rawAddress(terms.sender), terms.hashlock));
  }

  async isUnderWay(sent: Sent): Promise<boolean> {
    if ((await this.height()) >= (sent.expiresAtHeight ?? 0)) return false;
    if (sent.raw === undefined) return true;
    try {
      await this.broadcast(fromHex(sent.raw));
    } catch (error) {
      // A refusal of these bytes now means that they cannot be included: another sequence, or nothing left to do.
      if (error instanceof CausewayError && !error.retryable) return false;
    }
    return true;
  }

  async proveFunds(quote: QuoteBody, hashlock: Bytes, receiver: string): Promise<string> {
    const fields = [
      this.account, quote.key.slice(2), quote.id, toHex(hashlock), quote.initiator_asset, quote.initiator_amount,
      quote.participant_receiver, quote.participant_asset, quote.participant_amount, receiver, String(quote.expires_at),
    ];
    return `0x${toHex(await signConsent(this.genesis, fields, this.settings.key))}`;
  }

  private async send(message: ReturnType<typeof lockMessage>): Promise<Sent> {
    const height = await this.height();
    const raw = await this.leaf(concat(utf8("bank/account/"), this.address), height);
    const account = raw === undefined ? [0n] : unpack(raw);
    const sequence = Array.isArray(account) ? account[0] : undefined;
    if (typeof sequence !== "bigint") throw unavailable(`${this.id} shows an account that cannot be read`);
    const expiresAtHeight = height + EXPIRY_BLOCKS;
    const signed = await signTransaction({ reference: this.reference, sequence, expiryHeight: BigInt(expiresAtHeight), messages: [message] }, this.settings.key);
    await this.broadcast(signed.raw);
    return { hash: signed.hash, raw: toHex(signed.raw), expiresAtHeight, sentAtS: Date.now() / 1000 };
  }

  /** One node that takes it is enough; it is refused if the nodes that answer refuse it. */
  private async broadcast(raw: Bytes): Promise<void> {
    const tx = btoa(String.fromCharCode(...raw));
    await this.endpoints.any(async (url) => {
      try {
        const { code, log } = (await this.endpoints.call(url, "broadcast_tx_sync", { tx })) as { code?: unknown; log?: unknown };
        if (code !== 0) throw rejected(`${this.id} refuses the transaction: ${String(log).slice(0, 300)}`, "refused");
      } catch (error) {
        if (!(error instanceof CausewayError) || !KNOWN_ALREADY.test(error.message)) throw error;
      }
    });
  }

  private height(): Promise<number> {
    return this.endpoints.reached(async (url) => {
      const { sync_info: info } = (await this.endpoints.call(url, "status", {})) as { sync_info?: { latest_block_height?: unknown } };
      const height = Number(info?.latest_block_height);
      if (!Number.isSafeInteger(height) || height < 1) throw unavailable(`${this.id} has no block yet`);
      return height;
    });
  }

  private leaf(key: Bytes, height: number): Promise<Bytes | undefined> {
    return this.endpoints.agreed(async (url) => {
      const { response } = (await this.endpoints.call(url, "abci_query", { path: "/store", data: toHex(key), height: String(height), prove: false })) as {
        response?: { code?: unknown; value?: unknown; log?: unknown };
      };
      const value = response?.value ?? null;
      if (response === undefined || ![0, undefined].includes(response.code as number | undefined)) throw unavailable(`${this.id} does not show its state: ${String(response?.log).slice(0, 200)}`);
      if (value === null || value === "") return undefined;
      if (typeof value !== "string" || value.length > MAX_LEAF_BYTES * 2) throw unavailable(`${this.id} answers with a leaf that cannot be read`);
      return [...Uint8Array.from(atob(value), (char) => char.charCodeAt(0))];
    }).then((found) => (found === undefined ? undefined : Uint8Array.from(found)));
  }

  private async clock(height: number): Promise<number> {
    const raw = await this.leaf(utf8("clock"), height);
    if (raw?.length !== 8) throw unavailable(`${this.id} shows no time`);
    return Number(toBigInt(raw) / 1000n);
  }
}

const rawAddress = (account: string): Bytes => fromHex(account.slice(account.lastIndexOf(":") + 1));
const symbolOf = (asset: string): string => asset.slice(asset.indexOf("/asset:") + 7);
const placeOf = (terms: Terms): string => `${toHex(rawAddress(terms.sender))}/${toHex(terms.hashlock)}`;
