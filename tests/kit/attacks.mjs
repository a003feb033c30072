// What goes wrong, or is done to a swap on purpose: `node attacks.mjs KIT VECTORS FOLDER`. Prints {name: outcome}.
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { ed25519 } from "@noble/curves/ed25519.js";

const [, , kitFolder, vectors, folder] = process.argv;
const kit = (globalThis.kit = await import(`${kitFolder}/index.js`));
const { step } = await import(`${kitFolder}/swap/steps.js`);
const { Endpoints } = await import(`${kitFolder}/chains/endpoints.js`);
const { FileStore } = await import(`${kitFolder}/node/index.js`);
const { A, B, NOW, SENT, T_A, T_B, TIMING, answering, chainOf, leg, record, refusal, settingOf } = await import("./scene.mjs");
const cases = JSON.parse(readFileSync(vectors, "utf8"));
const found = {};

/** Where one step leads, and what it did meanwhile; "saved …" for each record that was written down. */
async function stepped(stage, { a = chainOf(A, {}), b = chainOf(B, {}), ...more } = {}, setting = {}) {
  const did = [];
  for (const chain of [a, b]) {
    for (const act of ["lock", "claim", "refund"]) {
      const sent = chain[act];
      chain[act] = async (...given) => (did.push(act), sent(...given));
    }
  }
  const save = async (one) => void did.push(`saved ${one.stage}${one.claimTries ?? ""}`);
  try {
    const made = await step({ ...record, stage, ...more }, settingOf(a, b, { save, ...setting }));
    return [made.record.stage, made.record.result, made.record.calledOff === undefined ? undefined : "off", ":", ...did].filter(Boolean).join(" ");
  } catch (error) {
    return [await refusal(() => Promise.reject(error)), ":", ...did].join(" ");
  }
}

// --- the reveal ---

const late = { nowS: () => T_B - 5 };
const lateChain = (id) => chainOf(id, { timeS: T_B - 5 });
found["asked in time, gone on with too late"] = await stepped("revealing", { a: lateChain(A), b: lateChain(B), claimTries: 0 }, late);
found["shown before, too late now"] = await stepped("revealing", { a: lateChain(A), b: lateChain(B), claimTries: 1 }, late);
found["shown in time"] = await stepped("revealing", { claimTries: 0 });
found["nothing is shown that was not written down"] = await stepped("revealing", { claimTries: 0 }, { save: async () => { throw new kit.CausewayError("store", "no room", true); } });
const unshown = { final: "absent", matches: false };
found["our lock is not shown"] = await stepped("revealing", { a: chainOf(A, unshown), claimTries: 0 });
found["the relayer's lock is not shown, after it was found"] = await stepped("locked", { b: chainOf(B, { ...unshown, findLock: async () => ({ status: "locked", termsMatch: true, place: "theirs", height: 2, timeS: NOW }) }) });
found["our lock is not shown, until it is too late"] = await stepped("revealing", { a: chainOf(A, { ...unshown, timeS: T_B - 5 }), b: chainOf(B, { timeS: T_B - 5 }), claimTries: 0 }, { nowS: () => T_B - 5 });
found["our lock is gone"] = await stepped("revealing", { a: chainOf(A, { final: "refunded" }), claimTries: 0 });
found["the relayer's lock is gone"] = await stepped("revealing", { b: chainOf(B, { final: "refunded" }), claimTries: 0 });
found["a claim could not be paid"] = await stepped("revealing", { b: chainOf(B, { checkPayout: async () => { throw new kit.CausewayError("payout-blocked", "frozen", true); } }), claimTries: 0 });
found["we could not pay for a claim"] = await stepped("locked", { b: chainOf(B, { checkPurse: async () => { throw new kit.CausewayError("unaffordable", "no ether", true); } }) });
found["clock set back while its owner was asked"] = await stepped("revealing", { claimTries: 0 }, { nowS: () => NOW - 9_000 });
found["our lock taken in a block that is not final"] = await stepped("locked", { a: chainOf(A, { newest: "claimed" }), calledOff: "gate" });
found["a hook that throws nothing"] = await stepped("locked", {}, { beforeReveal: () => Promise.reject(undefined) });
const hours = { nowS: () => NOW };
found["a hook that answers never"] = await stepped("locked", {}, { nowS: () => hours.nowS(), beforeReveal: () => ((hours.nowS = () => T_B), new Promise(() => {})) });
found["a lock that was refunded under other terms"] = await stepped("locked", { a: chainOf(A, { final: "refunded", matches: false }), b: chainOf(B, { findLock: async () => undefined }) });

/** The clock jumps while the record with this count is written down. */
function slept(jumpS, isIt) {
  const clock = { nowS: NOW };
  return { nowS: () => clock.nowS, save: async (one) => { if (isIt(one)) clock.nowS += jumpS; } };
}
found["asleep while the reveal is written down"] = await stepped("revealing", { claimTries: 0 }, slept(T_B - NOW, ({ claimTries }) => claimTries === 1));
found["asleep while the lock is written down"] = await stepped("locking", { a: chainOf(A, { final: "absent", matches: false, findLock: async () => undefined }) }, slept(1, ({ lockTries }) => lockTries === 1));
const unwritten = slept(T_B - NOW, ({ claimTries }) => claimTries === 1);
found["asleep, and what follows cannot be written down"] = await stepped("revealing", { claimTries: 0 }, { ...unwritten, save: async (one) => { if (one.claimTries !== 1) throw new kit.CausewayError("store", "no room", true); await unwritten.save(one); } });

// --- the lock ---

found["at the deadline's second"] = await stepped("agreed", {}, {});
found["a second after the deadline"] = await stepped("agreed", { lockDeadline: NOW - 1 });
const placed = async (more) => {
  const { record: made } = await step({ ...record, stage: "agreed", place: undefined, oursSince: 1 }, settingOf(chainOf(A, more), chainOf(B, {})));
  return `${made.stage} at ${made.place}, the wallet was asked ${made.lockTries ?? 0} times`;
};
found["a copy of the store has locked"] = await placed({});
found["no copy has locked"] = await placed({ findLock: async () => undefined });
const copied = { oursSince: 1, lockDeadline: NOW - 1 };
const unplaced = { final: "absent", matches: false, findLock: async () => ({ status: "locked", termsMatch: true, place: "theirs", height: 1, timeS: NOW }) };
const silent = { findLock: async () => { throw new kit.CausewayError("unavailable", "no logs", true); } };
found["a copy has locked, too late for a lock of ours"] = await stepped("agreed", copied);
found["a copy has locked, and ours was called off"] = await stepped("agreed", { ...copied, calledOff: "its owner" });
found["a copy has locked, too late after the place"] = await stepped("locking", { ...copied, a: chainOf(A, unplaced) });
found["a copy has locked elsewhere, and the timelock has come"] = await stepped("locking", { ...copied, lockTries: 1, a: chainOf(A, { ...unplaced, timeS: T_A }) });
found["no copy has locked, too late for a lock of ours"] = await stepped("agreed", { ...copied, a: chainOf(A, { findLock: async () => undefined }) });
found["a hook said no, and nobody shows if a copy has locked"] = await stepped("agreed", { oursSince: 1, a: chainOf(A, silent) }, { beforeLock: () => Promise.reject(new Error("no")) });
found["a refund could not be paid"] = await stepped("agreed", { a: chainOf(A, { checkPayout: async (terms) => { if (terms.sender === terms.receiver) throw new kit.CausewayError("payout-blocked", "frozen", true); } }) });

// --- the client ---

class Store extends kit.MemoryStore {
  async get(key) {
    return this.lost ? undefined : super.get(key);
  }
  async put(one) {
    if (this.full) throw new kit.CausewayError("store", "no room", true);
    return super.put(one);
  }
}
async function run(stage, { change = () => {}, options = {}, more = {} }) {
  const [a, b, store] = [chainOf(A, {}), chainOf(B, {}), new Store()];
  await store.put({ ...record, stage, ...more });
  const claimed = () => (b.readLock = async () => ({ status: "claimed", termsMatch: true, place: "theirs", height: 2, timeS: NOW }));
  b.claim = async () => (claimed(), SENT);
  change({ a, b, store, claimed });
  const client = new kit.SwapClient({ relayer: "http://127.0.0.1:1", relayerKey: "", chains: [a, b], store, policy: kit.DEVNET_POLICY, nowS: () => NOW });
  return { client, store, ended: () => client.run("aa", options) };
}
const once = (work) => {
  let done = false;
  return (...given) => (done ? undefined : ((done = true), work(...given)));
};

{
  const lost = await run("revealing", { change: ({ b, store, claimed }) => {
    const fail = once(() => { store.lost = true; throw new kit.CausewayError("refused", "another sequence"); });
    b.claim = async () => (fail(), claimed(), SENT);
  } });
  found["the browser cleared the store after the reveal"] = (await lost.ended()).result;
}
{
  let claims = 0;
  const full = await run("revealing", { change: ({ b, store, claimed }) => {
    b.isUnderWay = async () => (claims > 0 ? (setTimeout(() => ((store.full = false), claimed()), 100), true) : false);
    b.claim = async () => ((claims += 1), (store.full = true), SENT);
  } });
  found["no room after the reveal"] = `${(await full.ended()).result} ${claims} claim`;
}
{
  const bug = await run("revealing", { change: ({ b }) => { const fail = once(() => { throw new TypeError("a bug"); }); const { claim } = b; b.claim = async () => (fail(), claim()); } });
  found["an error that nobody planned for, after the reveal"] = (await bug.ended()).result;
}
found["whoever watches fails"] = (await (await run("revealing", { options: { onProgress: () => { throw new Error("no such element"); } } })).ended()).result;
{
  const { client } = await run("revealing", { more: { claimTries: 1 } });
  found["cancelled after the reveal"] = (await client.cancel("aa")).calledOff ?? "goes on";
}
{
  const { client } = await run("revealing", { more: { claimTries: 0 } });
  const { stage, calledOff } = await client.cancel("aa");
  found["cancelled before the wallet was asked"] = `${stage} ${calledOff}`;
}
{
  const { client } = await run("locked", {});
  await client.cancel("aa", "first");
  found["cancelled twice"] = (await client.cancel("aa", "second")).calledOff;
}

{
  // The gate is shut twice after the hook let it pass.
  const asked = [];
  let shut = 2;
  const hooked = await run("locked", { change: ({ b }) => { b.checkPurse = async () => { if (shut-- > 0 && asked.length > 0) throw new kit.CausewayError("unaffordable", "no ether", true); }; }, options: { beforeReveal: ({ stage }) => void asked.push(stage) } });
  found["a hook, of a step that is tried again"] = `${(await hooked.ended()).result}, asked ${asked.join()}`;
  const again = await run("revealing", { more: { claimTries: 0 }, options: { beforeReveal: ({ stage }) => void asked.push(stage) } });
  found["a hook, after another process was asked"] = `${(await again.ended()).result}, asked ${asked.join()}`;
  const no = await run("revealing", { more: { claimTries: 0 }, options: { beforeReveal: () => { throw new Error("no"); }, signal: AbortSignal.timeout(500) } });
  await no.ended().catch(() => undefined);
  const { stage, calledOff } = await no.store.get("aa");
  found["a hook that says no, after another process was asked"] = `${stage} ${calledOff}`;
}

for (const [name, more] of [["an opening", {}], ["an opening out of a backup", { restored: true }]]) {
  const { client, store } = await run("opening", { more });
  found[`forgetting ${name}`] = `${await refusal(() => client.forget("aa"))}, ${(await store.all()).length} left`;
}
found["forgetting what was agreed"] = await refusal(async () => (await run("agreed", {})).client.forget("aa"));

// --- what a relayer says ---

const seed = new Uint8Array(32).fill(7);
const key = `0x${Buffer.from(ed25519.getPublicKey(seed)).toString("hex")}`;
function quoteOf(change) {
  const quote = {
    id: "ab".repeat(16), initiator_asset: `${A}/asset:x`, initiator_amount: "5", participant_asset: `${B}/asset:x`, participant_amount: "5", rate: { numerator: "1", denominator: "1" },
    participant_receiver: leg(A, 1).receiver, participant_sender: leg(B, 1).sender, initiator_lock_s: 2_000, participant_lock_s: 1_000, issued_at: NOW, expires_at: NOW + 30, key, signature: "", ...change,
  };
  return { ...quote, signature: `0x${Buffer.from(ed25519.sign(kit.quoteBytes(quote), seed)).toString("hex")}` };
}
const relayerOf = (answer) => async () => new Response(JSON.stringify(answer.body), { status: answer.status });
const clientOf = (chains, store, fetch) => new kit.SwapClient({ relayer: "http://relayer", relayerKey: key, chains, store, policy: kit.DEVNET_POLICY, nowS: () => NOW, fetch });
const proving = (id) => chainOf(id, { proveFunds: async () => "0x00" });

{
  const store = new kit.MemoryStore();
  const client = clientOf([proving(A), proving(B)], store, relayerOf({ status: 422, body: { type: "urn:causeway:problem:rejected", detail: "not now" } }));
  const dear = await refusal(() => client.open(quoteOf({ initiator_amount: "500", participant_amount: "500" })));
  const cheap = await refusal(() => client.open(quoteOf({})));
  found["the name of another quote"] = `${dear}, ${cheap}, ${(await store.get("ab".repeat(16))).quote.initiator_amount} kept`;
  let message;
  await client.open(quoteOf({})).catch((error) => (message = error.message));
  found["the name of another quote, in words"] = message;
}
for (const kind of ["wrong-key", "declined", "busy", "gate-closed", "x".repeat(10_000)]) {
  const api = new kit.RelayerApi("http://relayer", relayerOf({ status: 422, body: { type: `urn:causeway:problem:${kind}`, detail: "no" } }));
  found[`the relayer's code ${kind.slice(0, 12)}`] = await refusal(() => api.quoteKey());
}
found["a malformed receiver"] = await refusal(() => clientOf([proving(A), proving(B)], new kit.MemoryStore()).open(quoteOf({}), "not an account"));
const asked = { initiatorAsset: `${A}/asset:x`, participantAsset: `${B}/asset:x`, initiatorAmount: 5n };
found["a relayer's malformed account"] = await refusal(async () => kit.checkQuote(asked, quoteOf({ participant_sender: "causeway:two" }), key, 10_000, NOW));

function agreed(change, quoted = {}) {
  const quote = quoteOf(quoted);
  const hashlock = new Uint8Array(32).fill(1);
  const terms = (name, receiver, sender, timelock) => ({ chain: quote[`${name}_asset`].split("/")[0], asset: quote[`${name}_asset`], amount: quote[`${name}_amount`], sender, receiver, hashlock: `0x${"01".repeat(32)}`, timelock });
  const [ours, theirs] = [terms("initiator", quote.participant_receiver, leg(A, 1).sender, NOW + 1_500), terms("participant", leg(B, 1).receiver, quote.participant_sender, NOW + 1_000)];
  change?.(ours, theirs);
  const plain = (one) => ({ ...one, amount: BigInt(one.amount), hashlock });
  const answer = { id: kit.swapId(plain(ours), plain(theirs)), hashlock: `0x${"01".repeat(32)}`, role: "liquidity-provider", done: false, phase: "agreed", lock_deadline: NOW + 3, initiator: { terms: ours }, participant: { terms: theirs } };
  const limits = { policy: kit.DEVNET_POLICY, maxLockS: 14 * 24 * 3600, timelockSlackS: 30 };
  return refusal(async () => kit.agreed(quote, hashlock, ours.sender, theirs.receiver, answer, { [A]: TIMING, [B]: TIMING, [ours.chain]: TIMING, [theirs.chain]: TIMING }, limits, NOW));
}
found["terms as quoted"] = await agreed();
found["a timelock in words"] = await agreed((_ours, theirs) => (theirs.timelock = String(theirs.timelock)));
found["a timelock in a list"] = await agreed((_ours, theirs) => (theirs.timelock = [theirs.timelock]));
// 2^40 s later: packed into a lane's word, its low 40 bits are a timelock that comes now.
found["a timelock that wraps"] = await agreed((ours, theirs) => { ours.timelock += 2 ** 40 + 600; theirs.timelock += 2 ** 40; }, { initiator_lock_s: 2 ** 41, participant_lock_s: 2 ** 41 });
found["their timelock wraps"] = await agreed((_ours, theirs) => (theirs.timelock = NOW + 2 ** 40), { participant_lock_s: 2 ** 41 });
found["both legs on one chain"] = await agreed((_ours, theirs) => (theirs.receiver = leg(A, 1).sender), { participant_asset: `${A}/asset:x`, participant_sender: leg(A, 1).receiver });
found["an account of no chain"] = await agreed(undefined, { participant_receiver: `${A}:nobody` });

const key64 = kit.ledgerKey(seed);
const signing = (sequence) => refusal(async () => kit.signBytes({ reference: "one", sequence, expiryHeight: 1n, messages: [] }, key64.publicKey));
found["numbers of eight bytes"] = `${await signing(2n ** 64n - 1n)}, ${await signing(2n ** 64n)}, ${await signing(-1n)}`;

// --- nodes ---

const one = cases.ethereum_calls[0];
const terms = kit.termsOf(one.terms);
const token = cases.ethereum_calls.map((call) => kit.termsOf(call.terms)).find(({ asset }) => asset.includes("/erc20:"));
const native = cases.ethereum_calls.map((call) => kit.termsOf(call.terms)).find(({ asset }) => asset.endsWith("/slip44:60"));
const wallet = { account: { address: `0x${"11".repeat(20)}` } };
const urls = ["http://1", "http://2", "http://3"];
const ethereum = (fetch, more = {}) => new kit.EthereumChain({ id: terms.chain, contract: one.contract, endpoints: urls, timing: { ...TIMING, inclusion_s: 100 }, wallet, fetch, ...more });
const block = { number: "0x7530", hash: "0x01", timestamp: "0x1" };
const node = (answers) => answering((url, { method, params }) => (method === "eth_getBlockByNumber" ? { result: block } : answers(method, params, url)));

const pending = (who, passedS) => ethereum(node((_method, _params, url) => ({ result: who.includes(url) ? { blockNumber: null } : null }))).isUnderWay({ hash: "0x01", sentAtS: Date.now() / 1000 - passedS });
found["pending, says one, for long"] = await pending(urls.slice(0, 1), 101);
found["pending, says one, a minute ago"] = await pending(urls.slice(0, 1), 70);
found["pending, says nobody, a minute ago"] = await pending([], 70);
found["pending, say two, for long"] = await pending(urls.slice(0, 2), 10_000);
found["sent, by a clock that was put right since"] = await pending([], -100_000);

const nested = `{"jsonrpc":"2.0","id":1,"result":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
const honest = answering(() => ({ result: `0x${Number(terms.chain.split(":")[1]).toString(16)}` }));
const bombed = new Endpoints(urls, async (url, init) => (url === urls[0] ? new Response(nested) : honest(url, init)));
{
  // A lock in a block that is not final yet, which one node has not heard of.
  const one = cases.ethereum_calls[0];
  const [sender, lane, generation] = one.place.split("/");
  const word = (value) => BigInt(value).toString(16).padStart(64, "0");
  const log = { topics: [], data: `0x${word((BigInt(generation) << 32n) | BigInt(lane))}${word(sender)}${word(terms.amount)}` };
  const made = (at) => ethereum(answering((url, { method, params }) => {
    if (method === "eth_getBlockByNumber") return { result: { ...block, number: params[0] === "finalized" ? "0x64" : params[0] === "latest" ? "0x65" : params[0] } };
    if (method === "eth_getStorageAt") return { result: params[2] === "0x65" ? one.locked_word : "0x" };
    return { result: url !== urls[0] && Number(params[0].toBlock) >= 0x65 ? [log] : [] };
  })).findLock(terms, 1, at);
  found["our lock in the newest block"] = `${(await made("latest"))?.status} ${(await made("finalized"))?.status}`;
}
{
  const names = [];
  for (const said of [undefined, { id: 7 }, "0x12", `0x${"ab".repeat(32)}`]) {
    const chain = ethereum(node(() => ({ error: { code: -32602, message: "invalid params" } })), { wallet: { ...wallet, sendTransaction: async () => said } });
    const sent = await chain.claim(terms, one.place, new Uint8Array(32));
    names.push(`${sent.hash.slice(0, 4)} ${await refusal(() => chain.isUnderWay(sent))}`);
  }
  found["a wallet's own names of transactions"] = names.join(", ");
}
found["lists in lists, from one node"] = await bombed.agreed((url) => bombed.call(url, "eth_chainId", []));
const ends = new AbortController();
const hanging = new Endpoints(urls, (url, init) => (url === urls[1] ? new Promise((_, reject) => { for (const signal of [init.signal, ends.signal]) signal.addEventListener("abort", () => reject(new Error("hung up"))); }) : honest(url, init)));
const begun = performance.now();
const heard = [await hanging.agreed((url) => hanging.call(url, "eth_chainId", [])), await hanging.reached(async (url) => Number(await hanging.call(url, "eth_chainId", []))), (await hanging.all((url) => hanging.call(url, "eth_chainId", []))).length];
found["one node hangs"] = `${heard.join(" ")} ${performance.now() - begun < 9_000 ? "in time" : "late"}`;
ends.abort();
const down = new Endpoints(urls, (url, init) => (url === urls[2] ? honest(url, init) : Promise.reject(new Error("down"))));
found["one of three answers"] = `${await refusal(() => down.agreed((url) => down.call(url, "eth_chainId", [])))}, ${await refusal(() => down.all((url) => down.call(url, "eth_chainId", [])))}`;
const number = Number(terms.chain.split(":")[1]);
const at = (...wrong) => (url) => `0x${(wrong.includes(urls.indexOf(url)) ? number + 1 : number).toString(16)}`;
const GENESIS = `0x${"9e".repeat(32)}`;
/** Nodes with a first block each: nodes in `wrong` are of another number, those in `other` began otherwise, those in `down` do not answer. */
function nodes({ wrong = [], other = [], down = [], more = {} } = {}) {
  const asked = [];
  const answer = answering((url, { method, params }) => {
    asked.push(`${method} ${urls.indexOf(url)}`);
    if (method === "eth_getBlockByNumber" && params[0] === "0x0") return { result: { ...block, number: "0x0", hash: other.includes(urls.indexOf(url)) ? `0x${"0e".repeat(32)}` : GENESIS } };
    return { result: method === "eth_getBlockByNumber" ? { ...block, baseFeePerGas: "0x5" } : method === "eth_getBalance" ? "0x7" : "0x1" };
  }, at(...wrong));
  const chain = ethereum((url, init) => (down.includes(urls.indexOf(url)) ? Promise.reject(new Error("down")) : answer(url, init)), { genesis: GENESIS.slice(2), ...more });
  return { chain, asked, of: (index) => asked.filter((one) => one.endsWith(` ${index}`) && !one.startsWith("eth_getBlockByNumber")).length };
}
const identity = async (given) => `${await refusal(() => nodes(given).chain.checkEndpoints())}, ${await refusal(() => nodes(given).chain.balance(native.asset))}`;
found["every node is of the chain"] = await identity({});
found["one node of another number"] = await identity({ wrong: [1] });
found["one node of another genesis"] = await identity({ other: [2] });
found["two nodes of another genesis"] = await identity({ other: [0, 2] });
found["one node of another genesis, one down"] = await identity({ other: [0], down: [1] });
found["one node down"] = await identity({ down: [1] });
found["another genesis, and none configured"] = await identity({ other: [0, 1, 2], more: { genesis: undefined } });
found["a genesis of one byte"] = await refusal(() => ethereum(undefined, { genesis: "0x12" }));
{
  const { chain, of } = nodes({ other: [1] });
  await chain.balance(native.asset);
  found["questions to a node of another chain"] = of(1);
  const right = nodes({});
  for (let looks = 0; looks < 3; looks += 1) await right.chain.balance(native.asset);
  found["how often a node is asked for its first block"] = right.asked.filter((one) => one === "eth_getBlockByNumber 0").length - 3 * 2;
}
{
  const told = [];
  const firsts = ["00", "11"];
  const ledger = new kit.ConsortiumChain({ id: A, genesis: "00".repeat(32), endpoints: ["http://1", "http://2", "http://3"], timing: TIMING, key: kit.ledgerKey(new Uint8Array(32)), fetch: answering((url, { method, params }) => {
    told.push(`${method} ${url.at(-1)}`);
    if (method === "block" && params.height === "1" && url === "http://3") return { error: { message: "Internal error", data: "height 1 is not available, lowest height is 7" } };
    if (method === "block") return { result: { block_id: { hash: firsts[Number(url === "http://2")].repeat(32) } } };
    if (method === "status") return { result: { node_info: { network: "one" }, sync_info: { latest_block_height: "9" } } };
    return { result: method === "broadcast_tx_sync" ? { code: 0 } : { response: { code: 0, value: null } } };
  }) });
  await ledger.refund(kit.termsOf({ ...leg(A, T_A), asset: `${A}/asset:x` }));
  found["a ledger's node of another chain hears of nothing"] = told.filter((one) => one.endsWith(" 2") && !one.startsWith("block")).length;
  found["a ledger's node that pruned its first block counts"] = told.filter((one) => one === "broadcast_tx_sync 3").length;
  found["a ledger's node of another chain"] = await refusal(() => ledger.checkEndpoints());
}
{
  // One operator has two nodes; the other two have one each.
  const named = [{ url: urls[0], operator: "o" }, { url: urls[1], operator: "o" }, urls[2], "http://4"];
  const said = (...values) => {
    const pool = new Endpoints(named, answering((url) => ({ result: values[named.findIndex((one) => (one.url ?? one) === url)] })));
    return pool.agreed((url) => pool.call(url, "x", [])).then((value) => `${value} of ${pool.quorum}`, (error) => error.code);
  };
  found["two nodes of one operator against two others"] = await said("a", "a", "b", "b");
  found["an operator whose nodes contradict each other"] = await said("a", "b", "a", "b");
  found["an operator, and one more"] = await said("a", "a", "a", "b");
  const least = new Endpoints(named, answering((url) => ({ result: [9, 3, 5, 7][named.findIndex((one) => (one.url ?? one) === url)] })));
  found["what a quorum of operators has reached"] = await least.reached(async (url) => Number(await least.call(url, "x", [])));
}
found["one node with two votes"] = await refusal(() => ethereum(undefined, { endpoints: ["http://1", "http://2", "http://1/"] }));

/** What nodes say to a payment: `said` is the answer of two, `other` that of the third. */
const paying = (asset, said, other = said) => refusal(() => ethereum(node((method, params, url) => {
  if (method === "eth_getBalance") return { result: "0x0" };
  if (params[0].data?.startsWith("0x70a08231")) return { result: `0x${"f".repeat(64)}` };
  return url === urls[2] ? other : said;
})).checkPayout(asset));
const yes = { result: "0x" };
const no = { error: { code: 3, message: "execution reverted: frozen" } };
found["ether can be paid"] = await paying(native, yes);
found["ether cannot be paid"] = await paying(native, no);
found["ether cannot be paid, says one"] = await paying(native, yes, no);
found["ether can be paid, says one"] = await paying(native, no, yes);
found["a token that answers true"] = await paying(token, { result: `0x${"1".padStart(64, "0")}` });
found["a token that answers false"] = await paying(token, { result: `0x${"0".repeat(64)}` });
found["a token that is paused"] = await paying(token, { error: { code: -32015, message: "VM execution error." } });
found["nodes that do not say"] = await paying(token, { error: { code: -32005, message: "limit exceeded" } });
const purse = (wei, prices) => refusal(() => ethereum(node((method, _params, url) => ({ result: `0x${(method === "eth_gasPrice" ? prices[urls.indexOf(url)] : wei).toString(16)}` }))).checkPurse(native));
found["a purse that pays"] = await purse(10n ** 18n, [10n ** 9n, 10n ** 9n, 10n ** 9n]);
found["a purse that does not"] = await purse(10n ** 12n, [10n ** 9n, 10n ** 9n, 10n ** 9n]);
found["a purse that one node empties"] = await purse(10n ** 18n, [10n ** 9n, 10n ** 9n, 10n ** 17n]);
{
  const { chain } = nodes({});
  const costs = await chain.costs(native.asset);
  found["costs, at a price of 1 on a base fee of 5"] = `${costs.asset === native.asset} ${costs.lock} ${costs.exit} ${(await chain.costs(token.asset)).lock}`;
  found["costs on a ledger"] = String(await new kit.ConsortiumChain({ id: A, genesis: "00".repeat(32), endpoints: ["http://1"], timing: TIMING, key: key64 }).costs());
}
{
  const limits = async (tries, wei) => {
    const sent = [];
    const chain = ethereum(node((method) => ({ result: method === "eth_getBalance" ? `0x${wei.toString(16)}` : "0xa" })), { wallet: { ...wallet, sendTransaction: async ({ gas }) => (sent.push(gas), `0x${"ab".repeat(32)}`) } });
    await chain.claim(native, one.place, new Uint8Array(32), tries);
    await chain.refund(token, one.place, tries);
    return sent.join(" ");
  };
  found["gas of an exit, sent first"] = await limits(0, 0n);
  found["gas of an exit, after two in vain"] = await limits(2, 10n ** 18n);
  found["gas of an exit, after very many in vain"] = await limits(1_000_000, 10n ** 18n);
  found["gas of an exit, as far as the purse goes"] = await limits(2, 10n * 300_000n);
  found["gas of an exit, of an empty purse"] = await limits(2, 0n);
}
{
  // A claim of a program's own key waits with a tip of 4 and 100 in all, at a market of 30 (a price of 20 on a base fee of 10).
  const waiting = (passedS, { leftS, kind = "local", fee = "0x64", mined = null, price = 20, second = {} } = {}) => {
    const chain = ethereum(answering((url, { method }) => {
      if (method === "eth_getBlockByNumber") return { result: { ...block, baseFeePerGas: "0xa" } };
      if (method === "eth_gasPrice") return { result: `0x${price.toString(16)}` };
      return { result: { blockNumber: mined, nonce: "0x7", maxFeePerGas: fee, maxPriorityFeePerGas: "0x4", ...(url === urls[1] ? second : {}) } };
    }), { wallet: { account: { ...wallet.account, type: kind } } });
    return chain.outbid({ hash: `0x${"ab".repeat(32)}`, sentAtS: Date.now() / 1000 - passedS }, leftS).then((over) => (over === undefined ? "waits" : `${over.nonce}: ${over.maxFeePerGas}, tip ${over.maxPriorityFeePerGas}`));
  };
  found["a claim that waits"] = [
    await waiting(14), await waiting(16), await waiting(4, { leftS: 30 }), await waiting(16, { kind: "json-rpc" }), await waiting(16, { mined: "0x1" }),
    await waiting(16, { fee: "0x5", price: 200 }), await waiting(16, { fee: "0x1e1" }), await waiting(16, { second: { nonce: "0x1" } }), await waiting(16, { fee: null }),
  ].join("; ");
  const told = [];
  const over = { nonce: 7, maxFeePerGas: 113n, maxPriorityFeePerGas: 5n };
  const under = { isUnderWay: async () => true, outbid: async (_sent, leftS) => (told.push(leftS), over) };
  await stepped("revealing", { b: chainOf(B, { ...under, claim: async (...given) => (told.push(...given.slice(3)), SENT) }), claimTries: 1, claimSent: SENT });
  await stepped("refunding", { a: chainOf(A, { ...under, timeS: T_A, refund: async (...given) => (told.push(...given.slice(2)), SENT) }), refundSent: SENT });
  found["what takes its place"] = JSON.stringify(told.map((one) => (one === over ? "over" : one ?? null)));
}
{
  // What a lock leaves: the first chain has `wei` for it and its refund, the second for the claim.
  const coin = (id) => ({ asset: `${id}/asset:gas`, lock: 10n, exit: 100n });
  const having = (id, gas, own = 5n) => ({ costs: async () => coin(id), balance: async (asset) => (asset === coin(id).asset ? gas : own) });
  const begun = async (onA, onB, others = []) => stepped("agreed", { a: chainOf(A, { final: "absent", matches: false, findLock: async () => undefined, ...onA }), b: chainOf(B, onB) }, { promised: async () => others });
  found["gas for lock, refund and claim"] = await begun(having(A, 110n), having(B, 100n));
  found["gas for the lock and no refund"] = await begun(having(A, 109n), having(B, 100n));
  found["gas for no claim"] = await begun(having(A, 110n), having(B, 99n));
  found["less than is locked"] = await begun(having(A, 110n, 4n), having(B, 100n));
  const open = { chains: [A, B], asset: `${A}/asset:x`, amount: 5n, locks: false };
  found["gas that another swap's refund needs"] = await begun(having(A, 209n), having(B, 200n), [open]);
  found["gas for both"] = await begun(having(A, 210n), having(B, 200n), [open]);
  found["what another swap has yet to lock"] = await begun(having(A, 310n, 9n), having(B, 200n), [{ ...open, locks: true }]);
}
{
  // What other records of the store keep, while a swap of key "m" is about to lock.
  const { promisedBy } = await import(`${kitFolder}/swap/purse.js`);
  const kept = (more) => {
    const made = promisedBy({ ...record, key: "b", createdS: NOW, ...more }, { ...record, key: "m", createdS: NOW }, new Map([[A, `${A}:${"11".repeat(20)}`], [B, `${B}:${"11".repeat(20)}`]]), NOW);
    return made === undefined ? "nothing" : `${made.locks ? `${made.amount} and ` : ""}exits on ${made.chains.map((one) => one.split(":")[1])}`;
  };
  const elsewhere = { ours: { ...leg(A, T_A), sender: `${A}:${"99".repeat(20)}` } };
  found["kept by others"] = Object.fromEntries(Object.entries({
    "agreed before": kept({ stage: "agreed" }), "agreed after": kept({ stage: "agreed", key: "z" }), "agreed, too late": kept({ stage: "agreed", lockDeadline: NOW - 1 }),
    "agreed, called off": kept({ stage: "agreed", calledOff: "no" }), "asked to lock": kept({ stage: "locking", lockTries: 1, key: "z" }), "placed after": kept({ stage: "locking", key: "z" }),
    "locked": kept({ stage: "locked" }), "claims": kept({ stage: "revealing", key: "z" }), "done": kept({ stage: "done" }), "opening": kept({ stage: "opening", ours: undefined }),
    "out of a backup": kept({ stage: "agreed", restored: true }), "of another account": kept({ stage: "locked", ...elsewhere }),
  }));
}

// --- a folder ---

const PASSPHRASE = "a passphrase of a test";
const files = await FileStore.open(folder, PASSPHRASE);
{
  // Both find what a dead process left; the second is slow to take it away.
  writeFileSync(`${folder}/aa.1.lock`, "999999999 1");
  writeFileSync(`${folder}/aa.lock`, "999999999 1");
  const { rm } = fs;
  let calls = 0;
  fs.rm = async (...given) => {
    if ((calls += 1) > 1) await new Promise((resolve) => setTimeout(resolve, 300));
    return rm(...given);
  };
  syncBuiltinESMExports();
  let [inside, most] = [0, 0];
  const work = async () => {
    most = Math.max(most, (inside += 1));
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    inside -= 1;
  };
  await Promise.allSettled([files.exclusive("aa", work), files.exclusive("aa", work)]);
  fs.rm = rm;
  syncBuiltinESMExports();
  found["two take over at once"] = `${most} inside`;
}
{
  // Two processes make one store: each has looked before the other has written.
  const { open } = fs;
  const place = `${folder}-made`;
  let waiting = [];
  fs.open = async (...given) => {
    if (String(given[0]).includes(`${place}/salt`) && waiting !== undefined) {
      await new Promise((resolve) => { waiting.push(resolve); if (waiting.length === 2) { for (const go of waiting) go(); waiting = undefined; } else setTimeout(resolve, 500); });
    }
    return open(...given);
  };
  syncBuiltinESMExports();
  const made = await Promise.allSettled([FileStore.open(place, PASSPHRASE), FileStore.open(place, PASSPHRASE)]);
  fs.open = open;
  syncBuiltinESMExports();
  const stores = made.filter(({ status }) => status === "fulfilled").map(({ value }) => value);
  for (const [number, store] of stores.entries()) await store.put({ ...record, key: `a${number}` });
  const again = await FileStore.open(place, PASSPHRASE);
  found["two make one store"] = `${stores.length} opened, ${(await Promise.all(stores.map((_, number) => again.get(`a${number}`).then(() => 1, () => 0)))).reduce((sum, read) => sum + read, 0)} read`;
}
for (const name of ["c1", "c2"]) await files.put({ ...record, key: name });
writeFileSync(`${folder}/c1.swap`, "damaged");
found["one record is damaged"] = (await files.all()).map(({ key }) => key).join();
found["a damaged record"] = await refusal(() => files.get("c1"));
rmSync(folder, { recursive: true });
found["the folder is gone"] = [await refusal(() => files.put(record)), await refusal(() => files.all()), await refusal(() => files.exclusive("aa", async () => {}))].join(", ");
found["left behind"] = readdirSync(`${folder}-made`).filter((name) => name.endsWith(".draft")).length;

process.stdout.write(JSON.stringify(found));
process.exit(0);
