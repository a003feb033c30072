/**
 * An Ethereum chain: read through the JSON-RPC of several nodes, acted on by any wallet that viem speaks to.
 *
 * A lock lives in a *lane* of its sender's: one storage word that commits to the terms (docs/internals/htlc-contract.md).
 * The same lock, sent again, names the same lane and generation, so that it is made once however often it is signed.
 */
import { encodeFunctionData } from "viem";
import type { Account, Chain, Transport, WalletClient } from "viem";
import { keccak256 as keccak, fromHex as unhex, toHex, utf8 } from "../evidence/bytes.js";
import { evmAddress, laneSlot, packedWord, parseLane, readLane } from "../evidence/lanes.js";
import { CausewayError, rejected, unavailable } from "../errors.js";
import type { QuoteBody } from "../swap/quote.js";
import { type Terms, hex } from "../swap/terms.js";
import type { ChainTiming } from "../swap/timelocks.js";
import { type Endpoint, Endpoints, type Fetch, RefusedCall, shown } from "./endpoints.js";
import { LogReader, type RawLog, quantity } from "./logs.js";
import { HASHED_TIMELOCK_ABI, HASHED_TIMELOCK_CODE_HASH, TOKEN_ABI } from "./pinned.js";
import type { Allowance, At, Costs, Head, LockFact, Over, Sent, SwapChain } from "./port.js";

export type EvmWallet = WalletClient<Transport, Chain | undefined, Account>;

export interface EthereumSettings {
  /** CAIP-2, such as `eip155:1`. */
  readonly id: string;
  /** The HashedTimelock contract, CAIP-10. */
  readonly contract: string;
  /** The first block's hash in hex: numbers of chains are used again, of development chains above all. */
  readonly genesis?: string;
  readonly endpoints: readonly Endpoint[];
  readonly timing: ChainTiming;
  /** A wallet of viem's with an account: of a browser's wallet (`browserWallets`), or of a key. */
  readonly wallet: EvmWallet;
  readonly fetch?: Fetch;
}

// Limits, not estimates: a claim that carries an unrevealed preimage may not be shown to a node to be estimated.
export const LOCK_GAS = 80_000n;
export const LOCK_TOKEN_GAS = 250_000n;
export const SETTLE_GAS = 150_000n;
export const SETTLE_TOKEN_GAS = 250_000n;
export const APPROVE_GAS = 120_000n;
/** Of a claim's gas what its payment does not have; a receiver that needs more than the rest counts as one that refuses. */
const CLAIM_OVERHEAD_GAS = 30_000n;
/** More wei than there is, and less than any node's overrides take. */
const RICH = 2n ** 128n;
/** Lanes that are looked at for a free one. */
const LANES = 64n;
const topic = (event: string): string => `0x${toHex(keccak(utf8(event)))}`;
const LOCKED_TOPIC = topic("Locked(bytes32,uint256,address,uint256)");
const LOCKED_TOKEN_TOPIC = topic("LockedToken(bytes32,uint256,address,uint256,address)");
const CLAIMED_TOPIC = topic("Claimed(bytes32,uint256,bytes32)");
const REFUNDED_TOPIC = topic("Refunded(bytes32,uint256)");
/** How long a transaction that no node knows may still be on its way from the wallet. */
const FORGOTTEN_AFTER_S = 60;
/** Selector of ERC-20's `transfer(address,uint256)`. */
const TRANSFER = "0xa9059cbb";
/** How nodes say that the chain's code refused a call (`adapters/evm/words.py`). */
const REVERTED = /revert|vm execution error|vm exception/i;
/** An exit's reserve is so many times a first bid now, as `relayer/inventory.py` keeps it. */
const EXIT_FEE_MULTIPLE = 2n;
/** How often an exit's gas limit grows, and how far: the figures of `adapters/evm/limits.py`. The last is EIP-7825's, for any transaction. */
const [GROWTHS, MOST_TIMES, MOST_GAS] = [16, 16n, 16_777_216n] as const;
/** When a transaction that waits is outbid, by how much at least, and up to which multiple of the market's price: `relayer/transactions/fees.py`. */
const [OUTBID_AFTER_S, IMPATIENCE_SHARE, RISE_PER_MILLE, MARKET_FACTOR] = [15, 0.1, 1_125n, 16n] as const;
const DECLINED = 4001;
const HASH = /^0x[0-9a-f]{64}$/;

interface Block {
  readonly height: number;
  readonly hash: string;
  readonly timeS: number;
}

export class EthereumChain implements SwapChain {
  readonly id: string;
  readonly account: string;
  readonly timing: ChainTiming;
  private readonly endpoints: Endpoints;
  private readonly holder: `0x${string}`;
  private readonly number: number;
  private readonly genesis: string | undefined;
  private readonly made: LogReader<Made>;
  private readonly ends: LogReader<End>;

  constructor(private readonly settings: EthereumSettings) {
    this.id = settings.id;
    this.timing = settings.timing;
    this.endpoints = new Endpoints(settings.endpoints, settings.fetch, (url) => this.identify(url));
    this.holder = `0x${toHex(evmAddress(settings.contract))}`;
    this.made = new LogReader(this.endpoints, madeIn);
    this.ends = new LogReader(this.endpoints, endOf);
    this.number = Number(/^eip155:([1-9][0-9]{0,15})$/.exec(settings.id)?.[1]);
    if (!Number.isSafeInteger(this.number)) throw rejected(`${settings.id} is not an Ethereum chain: write eip155:…`);
    if (!settings.contract.startsWith(`${settings.id}:`)) throw rejected(`${settings.contract} is not on ${settings.id}`);
    this.genesis = settings.genesis === undefined ? undefined : `0x${settings.genesis.replace(/^0x/, "").toLowerCase()}`;
    if (this.genesis !== undefined && !HASH.test(this.genesis)) throw rejected(`the genesis of ${settings.id} is not a block's hash: write 32 bytes in hex, or leave it out`);
    const signedFor = settings.wallet.chain?.id ?? this.number;
    if (signedFor !== this.number) throw rejected(`the wallet signs for chain ${signedFor}, not for ${settings.id}`);
    this.account = `${settings.id}:${settings.wallet.account.address.toLowerCase()}`;
  }

  async head(at: At): Promise<Head> {
    const { height, timeS } = await this.block(at);
    return { height, timeS };
  }

  /** A node's chain: its number and, if that is configured, its first block. */
  private async identify(url: string): Promise<void> {
    const number = await this.asNumber(url, "eth_chainId", []);
    if (number !== BigInt(this.number)) throw rejected(`the endpoint ${shown(url)} is of eip155:${number}, not of ${this.id}: correct its URL`);
    if (this.genesis === undefined) return;
    const { hash } = blockOf(await this.endpoints.call(url, "eth_getBlockByNumber", ["0x0", false]));
    if (hash.toLowerCase() !== this.genesis) {
      throw rejected(`at the endpoint ${shown(url)} ${this.id} began with another block, ${hash.slice(0, 66)} instead of ${this.genesis}: it is another chain of the same number; correct its URL or the genesis`);
    }
  }

  checkEndpoints(): Promise<void> {
    return this.endpoints.checkIdentity();
  }

  async blockHash(height: number): Promise<string | undefined> {
    return this.endpoints.agreed(async (url) => {
      const answer = await this.endpoints.call(url, "eth_getBlockByNumber", [quantity(height), false]);
      if (answer === null) return undefined;
      const { hash } = blockOf(answer);
      if (!HASH.test(hash.toLowerCase())) throw unavailable(`a node shows block ${height} without its hash`);
      return hash.toLowerCase();
    });
  }

  /** The contract has exactly the code that this package knows; without immutables, an honest one has this code hash. */
  async checkHolder(): Promise<void> {
    const { height } = await this.block("finalized");
    const code = await this.endpoints.agreed((url) => this.endpoints.call(url, "eth_getCode", [this.holder, quantity(height)]));
    if (typeof code !== "string" || toHex(keccak(bytesOf(code))) !== HASHED_TIMELOCK_CODE_HASH) throw rejected(`the contract at ${this.settings.contract} is not the HashedTimelock of this version: nothing is locked there`);
  }

  async place(terms: Terms, taken: readonly string[]): Promise<string> {
    const sender = `0x${toHex(evmAddress(terms.sender))}`;
    const { height } = await this.block("latest");
    for (let lane = 0n; lane < LANES; lane += 1n) {
      if (taken.some((one) => one.startsWith(`${sender}/${lane}/`))) continue;
      const word = await this.word(`${sender}/${lane}/0`, height);
      if ((word & 0xffffn) !== 1n) return `${sender}/${lane}/${word === 0n ? 1n : (((word >> 16n) & 0xffffn) + 1n) & 0xffffn}`;
    }
    throw unavailable(`the first ${LANES} lanes of ${terms.sender} are all in use: wait until a swap has ended`);
  }

  async readLock(terms: Terms, place: string, at: At): Promise<LockFact> {
    const { height, timeS } = await this.block(at);
    const lane = readLane(await this.word(place, height), evidenceTerms(terms), parseLane(place));
    // The lane was used again: what became of this lock is in the contract's events alone.
    const ended = lane.status === "superseded" ? await this.outcome(terms, place, height, at) : undefined;
    return { ...(ended === undefined ? lane : { status: ended, termsMatch: true }), place, height, timeS };
  }

  /** What the contract's events, as a quorum shows them, say became of a lock up to a block; the newest are looked at first. */
  private async outcome(terms: Terms, place: string, height: number, at: At): Promise<"claimed" | "refunded" | undefined> {
    const filter = { address: this.holder, topics: [[CLAIMED_TOPIC, REFUNDED_TOPIC], hex(terms.hashlock)] };
    const name = lockIdWord(terms, place);
    return this.endpoints.agreed(async (url) => {
      const looked = { name, counts: (end: End) => end.lock === name };
      const { found, complete } = await this.ends.downward(url, filter, height, at === "finalized", looked);
      const ours = found.at(-1)?.status;
      if (ours === undefined && !complete && at === "finalized") throw unavailable(`${this.id} is looked through for what became of the lock`);
      return ours;
    });
  }

  /**
   * Logs say where to look; what is there is read from the state. Blocks that were looked through once are not looked through again,
   * so that a lock is found however long ago it was made, if `since` is before it.
   */
  async findLock(terms: Terms, since: number, at: At = "finalized"): Promise<LockFact | undefined> {
    const { height } = await this.block(at);
    const filter = { address: this.holder, topics: [[LOCKED_TOPIC, LOCKED_TOKEN_TOPIC], hex(terms.hashlock)] };
    const sender = BigInt(`0x${toHex(evmAddress(terms.sender))}`);
    const looked = { name: terms.sender, counts: (one: Made) => one.sender === sender };
    const answers = await this.endpoints.all((url) => this.made.upward(url, filter, Math.max(0, since), height, looked));
    const named = new Map<string, number>();
    for (const { value } of answers) for (const { place } of value.found) named.set(place, (named.get(place) ?? 0) + 1);
    let settled: LockFact | undefined;
    // What most nodes name comes first: what one of them makes up keeps no look busy.
    for (const [place] of [...named].sort((one, other) => other[1] - one[1])) {
      const found = await this.readLock(terms, place, at);
      if (found.termsMatch && found.status === "locked") return found;
      if (found.termsMatch && found.status !== "absent") settled = found;
    }
    if (settled === undefined && !this.endpoints.areQuorum(answers.filter(({ value }) => value.complete))) throw unavailable(`${this.id} is looked through for the lock, from block ${since} on`);
    return settled;
  }

  /**
   * The payment alone, as the contract would make it (`adapters/evm/payouts.py` says what it shows and what it cannot): ether out of
   * the contract, made rich for the call where a node does that; a token's `transfer`, of what the contract holds, and while that is
   * less than the amount also from the sender who would lock it.
   */
  async checkPayout(terms: Terms): Promise<void> {
    const token = tokenOf(terms.asset);
    const receiver = `0x${toHex(evmAddress(terms.receiver))}` as const;
    const pays = (url: string): Promise<boolean> => (token === undefined ? this.paysNative(url, receiver, terms.amount) : this.paysToken(url, token, receiver, terms));
    if (!(await this.endpoints.agreed(pays))) throw unavailable(`${terms.receiver} cannot be paid ${terms.amount} of ${terms.asset} now: the chain refuses it`, "payout-blocked");
  }

  private async paysNative(url: string, to: string, amount: bigint): Promise<boolean> {
    const call = { from: this.holder, to, gas: quantity(SETTLE_GAS - CLAIM_OVERHEAD_GAS) };
    try {
      return await this.goesThrough(url, { ...call, value: quantity(amount) }, { [this.holder]: { balance: quantity(amount > RICH ? amount : RICH) } });
    } catch {
      // This node overrides no balances: what the contract holds has to do.
      const held = await this.held(url, undefined, this.holder);
      return this.goesThrough(url, { ...call, value: quantity(held < amount ? held : amount) });
    }
  }

  private async paysToken(url: string, token: `0x${string}`, to: `0x${string}`, terms: Terms): Promise<boolean> {
    const pays = (from: string, amount: bigint): Promise<boolean> =>
      this.goesThrough(url, { from, to: token, gas: quantity(SETTLE_TOKEN_GAS - CLAIM_OVERHEAD_GAS), data: `${TRANSFER}${to.slice(2).padStart(64, "0")}${amount.toString(16).padStart(64, "0")}` });
    const inContract = await this.held(url, token, this.holder);
    if (!(await pays(this.holder, inContract < terms.amount ? inContract : terms.amount))) return false;
    const sender = `0x${toHex(evmAddress(terms.sender))}` as const;
    // Who has not got the amount cannot lock it now either; the lock itself will show.
    return inContract >= terms.amount || (await this.held(url, token, sender)) < terms.amount || pays(sender, terms.amount);
  }

  /** False if the chain refuses the call, or a token answers it as the contract takes for a refusal (Tokens.sol, `agreed`). */
  private async goesThrough(url: string, call: object, ...overrides: object[]): Promise<boolean> {
    try {
      const answer = await this.endpoints.call(url, "eth_call", [call, "latest", ...overrides]);
      return answer === "0x" || (typeof answer === "string" && /^0x[0-9a-f]{64}/i.test(answer) && BigInt(answer.slice(0, 66)) === 1n);
    } catch (error) {
      if (error instanceof RefusedCall && REVERTED.test(error.message)) return false;
      throw error;
    }
  }

  async checkPurse(terms: Terms): Promise<void> {
    const gas = tokenOf(terms.asset) === undefined ? SETTLE_GAS : SETTLE_TOKEN_GAS;
    const [needed, held] = [gas * (await this.bid()), await this.balance(this.coin)];
    if (held < needed) throw unavailable(`${this.account} has ${held} wei, a claim or refund may cost ${needed} wei: send it some`, "unaffordable");
  }

  /** An exit by the larger limit, as in `adapters/evm/transactions.py`: what other swaps will settle is not asked. */
  async costs(asset: string): Promise<Costs> {
    const bid = await this.bid();
    return { asset: this.coin, lock: bid * (tokenOf(asset) === undefined ? LOCK_GAS : LOCK_TOKEN_GAS), exit: EXIT_FEE_MULTIPLE * bid * SETTLE_TOKEN_GAS };
  }

  private get coin(): string {
    return `${this.id}/slip44:60`;
  }

  /** A first bid for a unit of gas, in wei: twice the base fee and the tip, which a gas price has on top of one base fee. */
  private async bid(): Promise<bigint> {
    const [price, base] = await Promise.all([
      this.endpoints.reached(async (url) => Number(await this.asNumber(url, "eth_gasPrice", []))),
      this.endpoints.reached(async (url) => Number((await this.endpoints.call(url, "eth_getBlockByNumber", ["latest", false]) as { baseFeePerGas?: unknown } | null)?.baseFeePerGas ?? 0)),
    ]);
    if (!Number.isSafeInteger(price) || !Number.isSafeInteger(base)) throw unavailable(`${this.id} shows no price of gas`);
    return BigInt(price) + BigInt(base);
  }

  /** An allowance of exactly what is locked: whatever happens to the contract, it can take no more. */
  async prepare(terms: Terms, besides: bigint): Promise<Allowance | undefined> {
    const token = tokenOf(terms.asset);
    if (token === undefined) return undefined;
    const owner = this.settings.wallet.account.address;
    const data = encodeFunctionData({ abi: TOKEN_ABI, functionName: "allowance", args: [owner, this.holder] });
    const allowed = await this.endpoints.agreed((url) => this.asNumber(url, "eth_call", [{ to: token, data }, "latest"]));
    const needed = terms.amount + besides;
    if (allowed >= needed) return undefined;
    const approve = (units: bigint): `0x${string}` => encodeFunctionData({ abi: TOKEN_ABI, functionName: "approve", args: [this.holder, units] });
    // Some tokens refuse to change an allowance that is not zero: there it goes to zero first, and we are asked again.
    const units = allowed > 0n && (await this.refuses(token, owner, approve(needed))) ? 0n : needed;
    return { ...(await this.send(token, approve(units), APPROVE_GAS)), allows: units.toString() };
  }

  /** A call of ours would revert, as a quorum says. */
  private refuses(to: string, from: string, data: string): Promise<boolean> {
    return this.endpoints.agreed(async (url) => {
      try {
        await this.endpoints.call(url, "eth_call", [{ from, to, data }, "latest"]);
        return false;
      } catch (error) {
        if (error instanceof RefusedCall) return true;
        throw error;
      }
    });
  }

  /** What our account has of an asset, in base units, as a quorum shows it. */
  async balance(asset: string): Promise<bigint> {
    const [token, owner] = [tokenOf(asset), this.settings.wallet.account.address];
    const { height } = await this.block("latest");
    return this.endpoints.agreed((url) => this.held(url, token, owner, quantity(height)));
  }

  /** What an account has of a token, or of ether, as one node shows it. */
  private held(url: string, token: `0x${string}` | undefined, owner: `0x${string}`, at = "latest"): Promise<bigint> {
    if (token === undefined) return this.asNumber(url, "eth_getBalance", [owner, at]);
    return this.asNumber(url, "eth_call", [{ to: token, data: encodeFunctionData({ abi: TOKEN_ABI, functionName: "balanceOf", args: [owner] }) }, at]);
  }

  /** A number as a node writes it, in one word. */
  private async asNumber(url: string, method: string, params: unknown): Promise<bigint> {
    const answer = await this.endpoints.call(url, method, params);
    if (typeof answer !== "string" || !/^0x[0-9a-f]{1,64}$/i.test(answer)) throw unavailable(`${method} is not answered with a number`);
    return BigInt(answer);
  }

  lock(terms: Terms, place: string): Promise<Sent> {
    const token = tokenOf(terms.asset);
    const [hashlock, packed] = [hex(terms.hashlock), packedTerms(terms, place)];
    if (token === undefined) return this.send(this.holder, encodeFunctionData({ abi: HASHED_TIMELOCK_ABI, functionName: "lock", args: [hashlock, packed] }), LOCK_GAS, terms.amount);
    return this.send(this.holder, encodeFunctionData({ abi: HASHED_TIMELOCK_ABI, functionName: "lockToken", args: [hashlock, packed, terms.amount, token] }), LOCK_TOKEN_GAS);
  }

  claim(terms: Terms, place: string, preimage: Uint8Array, tries = 0, over?: Over): Promise<Sent> {
    return this.settle("claim", preimage, terms, place, tries, over);
  }

  refund(terms: Terms, place: string, tries = 0, over?: Over): Promise<Sent> {
    return this.settle("refund", terms.hashlock, terms, place, tries, over);
  }

  /** Of a key of the program's own: a browser's wallet has its owner raise the fee, and takes no sequence from a page. */
  async outbid({ hash, sentAtS }: Sent, leftS = Infinity): Promise<Over | undefined> {
    const patienceS = Math.min(OUTBID_AFTER_S, Math.max(1, leftS * IMPATIENCE_SHARE));
    if (this.settings.wallet.account.type !== "local" || hash === "" || Math.abs(Date.now() / 1000 - sentAtS) < patienceS) return undefined;
    const before = await this.endpoints.agreed(async (url) => {
      const { blockNumber, nonce, maxFeePerGas, maxPriorityFeePerGas } = ((await this.endpoints.call(url, "eth_getTransactionByHash", [hash])) ?? {}) as Record<string, unknown>;
      const numbers = [nonce, maxFeePerGas, maxPriorityFeePerGas].map((one) => (typeof one === "string" && /^0x[0-9a-f]{1,16}$/i.test(one) ? BigInt(one) : undefined));
      return typeof blockNumber === "string" || numbers.includes(undefined) ? undefined : (numbers as bigint[]);
    });
    if (before === undefined) return undefined;
    const [nonce, offered, tip] = before as [bigint, bigint, bigint];
    const bid = await this.bid();
    const [wanted, raised] = [(offered * RISE_PER_MILLE + 999n) / 1000n, (tip * RISE_PER_MILLE + 999n) / 1000n];
    const most = [bid, raised].reduce((larger, one) => (one > larger ? one : larger), wanted);
    // Far above what the market asks, a node lies, or it is not about the fee.
    return most > MARKET_FACTOR * bid ? undefined : { nonce: Number(nonce), maxFeePerGas: most, maxPriorityFeePerGas: raised };
  }

  async isUnderWay(sent: Sent): Promise<boolean> {
    const known = sent.hash === "" ? [] : await this.endpoints.all((url) => this.endpoints.call(url, "eth_getTransactionByHash", [sent.hash]));
    const found = known.filter(({ value }) => typeof value === "object" && value !== null);
    const { height } = await this.block("latest");
    const included = found.filter(({ value }) => isIncluded(value as { blockNumber?: unknown }, height));
    if (this.endpoints.areQuorum(included)) return false; // the state that a quorum shows says with what effect
    if (this.endpoints.areQuorum(found)) return true;
    // Fewer may be right, of what a wallet gave to them alone; but one that lies would hold up a claim for ever.
    const believedS = found.length > 0 ? Math.max(this.timing.inclusion_s, FORGOTTEN_AFTER_S) : FORGOTTEN_AFTER_S;
    return Math.abs(Date.now() / 1000 - sent.sentAtS) < believedS;
  }

  async proveFunds(quote: QuoteBody, hashlock: Uint8Array, receiver: string): Promise<string> {
    return this.asked(() =>
      this.settings.wallet.signTypedData({
        account: this.settings.wallet.account,
        domain: { name: "Causeway", version: "1", chainId: this.number, verifyingContract: this.holder },
        types: OPENING,
        primaryType: "Opening",
        message: {
          relayer: quote.key as `0x${string}`, quote: quote.id, hashlock: hex(hashlock), account: this.settings.wallet.account.address,
          give: quote.initiator_asset, giveAmount: BigInt(quote.initiator_amount), giveTo: quote.participant_receiver,
          get: quote.participant_asset, getAmount: BigInt(quote.participant_amount), getTo: receiver, expiresAt: BigInt(quote.expires_at),
        },
      }),
    );
  }

  private async settle(verb: "claim" | "refund", opening: Uint8Array, terms: Terms, place: string, tries: number, over?: Over): Promise<Sent> {
    const token = tokenOf(terms.asset);
    const args = [hex(opening), packedTerms(terms, place), `0x${toHex(parseLane(place).sender)}`, terms.amount] as const;
    if (token === undefined) return this.send(this.holder, encodeFunctionData({ abi: HASHED_TIMELOCK_ABI, functionName: verb, args }), await this.grown(SETTLE_GAS, tries), 0n, over);
    return this.send(this.holder, encodeFunctionData({ abi: HASHED_TIMELOCK_ABI, functionName: `${verb}Token`, args: [...args, token] }), await this.grown(SETTLE_TOKEN_GAS, tries), 0n, over);
  }

  /** An exit's gas limit: half as much again after each that came to nothing, as far as the account can pay for it. */
  private async grown(gas: bigint, tries: number): Promise<bigint> {
    if (tries === 0) return gas;
    let most = gas;
    for (let left = Math.min(tries, GROWTHS); left > 0; left -= 1) most = (most * 3n) / 2n;
    try {
      const payable = (await this.balance(this.coin)) / ((await this.bid()) || 1n);
      const limit = [gas * MOST_TIMES, MOST_GAS, payable].reduce((least, one) => (one < least ? one : least), most);
      return limit > gas ? limit : gas;
    } catch {
      // An exit depends on nobody's answer.
      return gas;
    }
  }

  private async send(to: `0x${string}`, data: `0x${string}`, gas: bigint, value = 0n, over: Partial<Over> = {}): Promise<Sent> {
    const { wallet } = this.settings;
    const chain: Chain = wallet.chain ?? { id: this.number, name: this.id, nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 }, rpcUrls: { default: { http: [...this.endpoints.urls] } } };
    const said: unknown = await this.asked(() => wallet.sendTransaction({ account: wallet.account, chain, to, data, gas, value, ...over }));
    // It went out, whatever the wallet calls it: a name that no node could look up would have us ask for ever, and send nothing again.
    const hash = typeof said === "string" && /^0x[0-9a-f]{64}$/i.test(said) ? said : "";
    return { hash, sentAtS: Date.now() / 1000 };
  }

  /** What the wallet answers; a "no" of its owner is told from a failure. */
  private async asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (isDeclined(error)) throw new CausewayError("declined", "the wallet's owner declined", true);
      throw unavailable(`the wallet did not do it: ${String((error as { shortMessage?: unknown }).shortMessage ?? (error as Error).message).slice(0, 300)}`, "wallet");
    }
  }

  /** The newest block, or the newest final one, that a quorum has, exactly as a quorum shows it. */
  private async block(at: At): Promise<Block> {
    const height = await this.endpoints.reached(async (url) => blockOf(await this.endpoints.call(url, "eth_getBlockByNumber", [at, false])).height);
    return this.endpoints.agreed(async (url) => blockOf(await this.endpoints.call(url, "eth_getBlockByNumber", [quantity(height), false])));
  }

  private async word(place: string, height: number): Promise<bigint> {
    const slot = `0x${laneSlot(parseLane(place)).toString(16).padStart(64, "0")}`;
    return this.endpoints.agreed(async (url) => {
      const word = await this.endpoints.call(url, "eth_getStorageAt", [this.holder, slot, quantity(height)]);
      if (typeof word !== "string" || !/^0x[0-9a-f]{0,64}$/i.test(word)) throw unavailable(`${this.id} shows no state at block ${height}`);
      return word === "0x" ? 0n : BigInt(word);
    });
  }
}

const OPENING = {
  Opening: [
    { name: "relayer", type: "bytes32" }, { name: "quote", type: "string" }, { name: "hashlock", type: "bytes32" },
    { name: "account", type: "address" }, { name: "give", type: "string" }, { name: "giveAmount", type: "uint256" },
    { name: "giveTo", type: "string" }, { name: "get", type: "string" }, { name: "getAmount", type: "uint256" },
    { name: "getTo", type: "string" }, { name: "expiresAt", type: "uint256" },
  ],
} as const;

const bytesOf = (text: string): Uint8Array => unhex(text.slice(2).toLowerCase());
const evidenceTerms = (terms: Terms) => ({ ...terms, hashlock: toHex(terms.hashlock), timelock: BigInt(terms.timelock) });

function tokenOf(asset: string): `0x${string}` | undefined {
  const found = /\/erc20:(0x[0-9a-f]{40})$/.exec(asset)?.[1];
  if (found === undefined && !asset.endsWith("/slip44:60")) throw rejected(`${asset} is neither the native coin nor an ERC-20 token`);
  return found as `0x${string}` | undefined;
}

const packedTerms = (terms: Terms, place: string): bigint => packedWord(evmAddress(terms.receiver), BigInt(terms.timelock), parseLane(place));

/** The lock's id in the contract's events, in hex. */
function lockIdWord(terms: Terms, place: string): string {
  const lane = parseLane(place);
  return packedWord(lane.sender, BigInt(terms.timelock), lane).toString(16).padStart(64, "0");
}

/** Where a lock event says that its lock is, and whose. */
interface Made {
  readonly sender: bigint;
  readonly place: string;
}

function madeIn({ data }: RawLog): [string, Made][] {
  if (typeof data !== "string" || !/^0x[0-9a-f]{192,256}$/i.test(data)) return [];
  const [packed, sender] = [wordOf(data, 0), wordOf(data, 1)];
  if (sender >= 1n << 160n) return [];
  const place = `0x${sender.toString(16).padStart(40, "0")}/${packed & 0xffffffffn}/${(packed >> 32n) & 0xffffn}`;
  return [[place, { sender, place }]];
}

/** An event that ends a lock; `lock` as `lockIdWord` has it. */
interface End {
  readonly lock: string;
  readonly status: "claimed" | "refunded";
}

function endOf({ data, topics }: RawLog): [string, End][] {
  const topic = Array.isArray(topics) ? (topics as unknown[])[0] : undefined;
  const status = topic === CLAIMED_TOPIC ? "claimed" : topic === REFUNDED_TOPIC ? "refunded" : undefined;
  if (typeof data !== "string" || !/^0x[0-9a-f]{64,256}$/i.test(data) || status === undefined) return [];
  const lock = data.slice(2, 66).toLowerCase();
  return [[lock, { lock, status }]];
}

const wordOf = (data: string, place: number): bigint => BigInt(`0x${data.slice(2 + 64 * place, 66 + 64 * place)}`);

function blockOf(answer: unknown): Block {
  const { number, hash, timestamp } = (answer ?? {}) as { number?: unknown; hash?: unknown; timestamp?: unknown };
  const [height, timeS] = [Number(number), Number(timestamp)];
  if (typeof hash !== "string" || typeof number !== "string" || !Number.isSafeInteger(height) || !Number.isSafeInteger(timeS)) throw unavailable("a node shows no block");
  return { height, hash, timeS };
}

const isIncluded = ({ blockNumber }: { blockNumber?: unknown }, height: number): boolean => typeof blockNumber === "string" && Number(blockNumber) <= height;

function isDeclined(error: unknown): boolean {
  for (let one = error; typeof one === "object" && one !== null; one = (one as { cause?: unknown }).cause) {
    if ((one as { code?: unknown }).code === DECLINED) return true;
  }
  return false;
}
