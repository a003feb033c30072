/**
 * The initiator's side of a swap, one step at a time. Each step reads the chains, decides, writes down what it is about to
 * do, and does it: a page that is closed between any two of them goes on where it was.
 */
import { fromHex } from "../evidence/bytes.js";
import { CausewayError, GateClosedError, unavailable } from "../errors.js";
import type { At, LockFact, Over, Sent, SwapChain } from "../chains/port.js";
import { type Promised, checkFree } from "./purse.js";
import type { Result, SwapRecord } from "./record.js";
import { type Terms, termsOf } from "./terms.js";
import { type SwapPolicy, checkLock, checkReveal, checkSkew } from "./timelocks.js";

/** How often a step that a hook holds back looks for the end of its time. */
const HOLD_LOOK_MS = 500;

export type Hook = (record: SwapRecord) => Promise<void> | void;

/** What a step works with. `save` returns when the record would survive a crash. */
export interface Setting {
  readonly a: SwapChain;
  readonly b: SwapChain;
  readonly policy: SwapPolicy;
  readonly nowS: () => number;
  readonly save: (record: SwapRecord) => Promise<void>;
  /** Places that other swaps of ours have written down. */
  readonly taken: () => Promise<readonly string[]>;
  /** Base units of an asset that other swaps of ours were allowed and have not locked yet. */
  readonly allowed: (asset: string) => Promise<bigint>;
  /** What other swaps of ours keep of our accounts while this one is about to lock. */
  readonly promised: (record: SwapRecord) => Promise<readonly Promised[]>;
  /** Throws a retryable error while a final block of one of both chains was replaced, or that cannot be said. `again`: since a look before. */
  readonly steady: (again?: boolean) => Promise<void>;
  /** The same hook again answers as before, without asking. */
  readonly beforeLock?: Hook | undefined;
  readonly beforeReveal?: Hook | undefined;
}

/** Where a swap is after a step. `waitsFor` says what has to happen before another step can do anything. */
export interface Step {
  readonly record: SwapRecord;
  readonly waitsFor?: string;
}

/** Take one step. Throws a retryable error if a chain or the wallet does not answer; the record is unharmed. */
export async function step(record: SwapRecord, setting: Setting): Promise<Step> {
  switch (record.stage) {
    case "agreed": return beginLock(record, setting);
    case "locking": return awaitOurLock(record, setting);
    case "locked": return awaitTheirLock(record, setting);
    case "revealing": return claim(record, setting);
    case "refunding": return refund(record, setting);
    default: return { record };
  }
}

const ours = (record: SwapRecord): Terms => termsOf(record.ours as NonNullable<SwapRecord["ours"]>);
const theirs = (record: SwapRecord): Terms => termsOf(record.theirs as NonNullable<SwapRecord["theirs"]>);

async function saved(record: SwapRecord, setting: Setting): Promise<Step> {
  await setting.save(record);
  return { record };
}

const ended = (record: SwapRecord, result: Result, setting: Setting): Promise<Step> => saved({ ...record, stage: "done", result }, setting);
const calledOff = (record: SwapRecord, why: string, setting: Setting): Promise<Step> => saved({ ...record, calledOff: record.calledOff ?? why }, setting);

/** Throws unless there is time to lock, by our own clock. */
function checkLockTime(record: SwapRecord, { a, b, policy, nowS }: Setting): void {
  if (nowS() > (record.lockDeadline ?? 0)) throw new CausewayError("too-late", "the time to lock is over: ask for a new quote");
  checkLock(nowS(), theirs(record).timelock, a.timing, b.timing, policy);
}

/** Throws unless we may lock now: in time, by clocks that agree, under contracts that are known, and both sides could be paid. */
async function checkMayLock(record: SwapRecord, setting: Setting): Promise<void> {
  const { a, b } = setting;
  const own = ours(record);
  // What is too late waits for no chain.
  checkLockTime(record, setting);
  await Promise.all([
    a.checkHolder(), b.checkHolder(), checkClocks(setting), checkPayouts(record, setting), checkMeans(record, setting), setting.steady(),
    // The refund that we rely on if nobody claims.
    a.checkPayout({ ...own, receiver: own.sender }),
  ]);
  // What was read on a chain that went another way meanwhile is noticed.
  await setting.steady(true);
  checkLockTime(record, setting);
}

/** Throws unless our accounts cover what we lock, the lock's own cost, and then still a refund of it or our claim, next to what other swaps keep. */
async function checkMeans(record: SwapRecord, { a, b, promised }: Setting): Promise<void> {
  const own = ours(record);
  const [others, first, second] = await Promise.all([promised(record), a.costs(own.asset), b.costs(theirs(record).asset)]);
  const drawn: (readonly [SwapChain, string | undefined])[] = [[a, own.asset], [b, second?.asset], ...(first?.asset === own.asset ? [] : [[a, first?.asset] as const])];
  // Balances after the promises: a lock that is included in between counts twice rather than never.
  const held = await Promise.all(drawn.map(async ([chain, asset]) => (asset === undefined ? [] : [[asset, await chain.balance(asset)] as const])));
  const mine = { chains: [a.id, b.id], asset: own.asset, amount: own.amount, locks: true };
  checkFree(others, mine, { [a.id]: first, [b.id]: second }, first === undefined ? {} : { [first.asset]: first.lock }, Object.fromEntries(held.flat()));
}

/** Throws unless we may show the preimage now: in time, by clocks that agree, for a final lock that could pay us, while ours stands. */
async function checkMayReveal(record: SwapRecord, place: string, setting: Setting): Promise<void> {
  const { a, b, policy, nowS } = setting;
  const inTime = (): void => checkReveal(nowS(), theirs(record).timelock, b.timing, policy);
  inTime();
  const [own, other] = await Promise.all([
    a.readLock(ours(record), record.place as string, "finalized"), b.readLock(theirs(record), place, "finalized"),
    b.checkHolder(), checkClocks(setting), checkPayouts(record, setting), b.checkPurse(theirs(record)), setting.steady(),
  ]);
  // Who reveals without ours shows the preimage for nothing. One that is not there may be: the nodes that answered are a block behind.
  for (const [fact, whose] of [[own, "our own"], [other, "the relayer's"]] as const) {
    if (fact.status === "absent") throw unavailable(`${whose} lock is not in a finalized block for the quorum yet`);
    if (!stands(fact)) throw new CausewayError("gone", `${whose} lock is gone`);
  }
  await setting.steady(true);
  inTime();
}

async function checkClocks({ a, b, nowS }: Setting): Promise<void> {
  for (const chain of [a, b]) checkSkew(chain.id, (await chain.head("latest")).timeS, nowS(), chain.timing);
}

/** Both claims have to be possible before anything hangs on them. */
async function checkPayouts(record: SwapRecord, { a, b }: Setting): Promise<void> {
  await Promise.all([a.checkPayout(ours(record)), b.checkPayout(theirs(record))]);
}

/** The step that lets the contract take what we lock, while that is not so yet. */
async function allowance(record: SwapRecord, setting: Setting): Promise<Step | undefined> {
  const terms = ours(record);
  if (record.approval !== undefined && (await setting.a.isUnderWay(record.approval))) return { record, waitsFor: "the allowance for the token" };
  const approval = await setting.a.prepare(terms, await setting.allowed(terms.asset));
  return approval === undefined ? undefined : saved({ ...record, approval }, setting);
}

/**
 * A swap out of a backup: the lock may have been made elsewhere since, at whatever place and whenever before its timelock. It is
 * looked for, and none is made; where it is, this client goes on as the other one would have.
 */
async function seekOurLock(record: SwapRecord, setting: Setting): Promise<Step> {
  const { a } = setting;
  const terms = ours(record);
  const { timeS } = await a.head("finalized");
  if (record.place !== undefined) {
    const there = await a.readLock(terms, record.place, "finalized");
    if (there.termsMatch) return saved({ ...record, stage: "locked" }, setting);
  }
  const found = await a.findLock(terms, record.oursSince ?? 0);
  if (found?.termsMatch === true) return saved({ ...record, stage: "locked", place: found.place }, setting);
  // A chain takes no lock whose timelock has come.
  if (timeS >= terms.timelock) return ended({ ...record, calledOff: record.calledOff ?? "it was not locked before its timelock, here or elsewhere" }, "abandoned", setting);
  return { record, waitsFor: "a lock that the browser of the backup may have made: this one makes none" };
}

/** The step that goes on with a lock that a copy of our store has made for this swap, if there is one. */
async function withLockOfCopy(record: SwapRecord, setting: Setting, at: At = "latest"): Promise<Step | undefined> {
  const there = record.oursSince === undefined ? undefined : await setting.a.findLock(ours(record), record.oursSince, at);
  return there?.termsMatch === true ? saved({ ...record, stage: "locking", place: there.place, lockTries: 1 }, setting) : undefined;
}

/** This swap is called off. What a copy of our store has locked for it comes back after its timelock; without such a lock it has ended. */
async function abandoned(record: SwapRecord, setting: Setting, at?: At): Promise<Step> {
  // If the chain is silent, the next look asks nobody again if it is to be called off.
  if (record.oursSince !== undefined) await setting.save(record);
  return (await withLockOfCopy(record, setting, at)) ?? ended(record, "abandoned", setting);
}

async function beginLock(record: SwapRecord, setting: Setting): Promise<Step> {
  if (record.restored === true) return seekOurLock(record, setting);
  if (record.calledOff !== undefined) return abandoned(record, setting);
  const { a } = setting;
  try {
    await checkMayLock(record, setting);
    const allowing = await allowance(record, setting);
    if (allowing !== undefined) return allowing;
    await consulted(setting.beforeLock, record, () => checkLockTime(record, setting));
    await checkMayLock(record, setting);
    // The store may be a copy, of which another went on: a lock that is there is this swap's, and no second one is made.
    const there = await withLockOfCopy(record, setting);
    if (there !== undefined) return there;
  } catch (error) {
    if (isPassing(error)) throw error;
    return abandoned({ ...record, calledOff: (error as Error).message }, setting);
  }
  return saved({ ...record, stage: "locking", place: await a.place(ours(record), await setting.taken()) }, setting);
}

async function awaitOurLock(record: SwapRecord, setting: Setting): Promise<Step> {
  if (record.restored === true) return seekOurLock(record, setting);
  const { a } = setting;
  const [terms, place] = [ours(record), record.place as string];
  const final = await a.readLock(terms, place, "finalized");
  if (final.termsMatch) return saved({ ...record, stage: "locked" }, setting);
  // The place went to another lock of this account, finally: what we signed for it can never be included.
  if (final.status !== "absent") return record.calledOff === undefined ? saved(withoutPlace(record), setting) : abandoned(record, setting);
  if (final.timeS >= terms.timelock) return abandoned({ ...record, calledOff: record.calledOff ?? "our lock was not included in time" }, setting, "finalized");
  // The wallet was not asked for it yet, which is written down before it is.
  if (record.calledOff !== undefined && record.lockTries === undefined) return abandoned(record, setting);
  const underWay = await isPending(record.lockSent, a);
  const newest = await a.readLock(terms, place, "latest");
  if (newest.termsMatch) return { record, waitsFor: "our lock to be final" };
  if (underWay) return { record, waitsFor: "our lock to be included" };
  if (record.calledOff !== undefined) return { record, waitsFor: `the timelock, since what was signed may still be included (${record.calledOff})` };
  try {
    await checkMayLock(record, setting);
    // Another program of this account may have used what was allowed.
    const allowing = await allowance(record, setting);
    if (allowing !== undefined) return allowing;
  } catch (error) {
    if (isPassing(error)) throw error;
    const off = { ...record, calledOff: (error as Error).message };
    return record.lockTries === undefined ? abandoned(off, setting) : saved(off, setting);
  }
  return sendLock(record, terms, place, setting);
}

function withoutPlace({ place, lockSent, lockTries, ...rest }: SwapRecord): SwapRecord {
  void [place, lockSent, lockTries];
  return { ...rest, stage: "agreed" };
}

async function sendLock(record: SwapRecord, terms: Terms, place: string, setting: Setting): Promise<Step> {
  const asked = { ...record, lockTries: (record.lockTries ?? 0) + 1 };
  await setting.save(asked);
  try {
    // The device may have slept over the saving. The wallet was not asked, so that the record goes back to what it was.
    checkLockTime(record, setting);
  } catch (error) {
    const off = { ...record, calledOff: (error as Error).message };
    return record.lockTries === undefined ? abandoned(off, setting) : saved(off, setting);
  }
  try {
    return await saved({ ...asked, lockSent: await setting.a.lock(terms, place) }, setting);
  } catch (error) {
    if (!(error instanceof CausewayError) || error.code !== "declined") throw error;
    const off = { ...asked, calledOff: error.message };
    return asked.lockTries === 1 ? ended(off, "abandoned", setting) : saved(off, setting);
  }
}

async function awaitTheirLock(record: SwapRecord, setting: Setting): Promise<Step> {
  const { a, b, policy, nowS } = setting;
  const [terms, place] = [ours(record), record.place as string];
  const own = await a.readLock(terms, place, "finalized");
  if (isEnd(own, "refunded")) return ended(record, "refunded", setting);
  if (isEnd(own, "claimed") || isEnd(await a.readLock(terms, place, "latest"), "claimed")) {
    // Whoever took it has the preimage, final or not: nothing is left to hide, and their lock is to be claimed without asking the gates.
    const theirLock = await b.findLock(theirs(record), record.since ?? 0);
    if (theirLock?.termsMatch === true) return saved({ ...record, stage: "revealing", theirPlace: theirLock.place }, setting);
  }
  if ((await a.head("latest")).timeS >= terms.timelock) return saved({ ...record, stage: "refunding" }, setting);
  if (record.calledOff !== undefined) return { record, waitsFor: `our timelock, since the swap was called off (${record.calledOff})` };
  const found = await b.findLock(theirs(record), record.since ?? 0);
  if (found === undefined) return { record, waitsFor: "the relayer's lock to be final" };
  if (!stands(found)) return calledOff(record, "the relayer's lock is not what was agreed, or is gone", setting);
  try {
    await checkMayReveal(record, found.place, setting);
    await consulted(setting.beforeReveal, record, () => checkReveal(nowS(), theirs(record).timelock, b.timing, policy));
  } catch (error) {
    if (isPassing(error)) throw error;
    return calledOff(record, (error as Error).message, setting);
  }
  // Whoever goes on from here asks everything once more, right before the preimage leaves.
  return saved({ ...record, stage: "revealing", theirPlace: found.place, claimTries: 0 }, setting);
}

async function claim(record: SwapRecord, setting: Setting): Promise<Step> {
  const { b } = setting;
  if (record.claimTries === 0) return reveal(record, setting);
  const [terms, place] = [theirs(record), record.theirPlace as string];
  const final = await b.readLock(terms, place, "finalized");
  if (isEnd(final, "claimed")) return ended(record, "completed", setting);
  // Finally unclaimed at its timelock: no claim of ours can follow, also if the relayer never takes it back.
  if (isEnd(final, "refunded") || (stands(final) && final.timeS >= terms.timelock)) return withoutTheirs(record, setting);
  const underWay = await isPending(record.claimSent, b);
  const newest = await b.readLock(terms, place, "latest");
  if (isEnd(newest, "claimed")) return { record, waitsFor: "our claim to be final" };
  if (newest.timeS >= terms.timelock) return { record, waitsFor: "the other chain to be final past the timelock of the relayer's lock" };
  if (underWay) return outbid(record, "claimSent", b, terms.timelock - setting.nowS(), (over) => b.claim(terms, place, fromHex(record.preimage), record.claimTries ?? 1, over), setting);
  if (!stands(newest)) return { record, waitsFor: `the relayer's lock to be shown again: it is ${newest.status}` };
  const tries = record.claimTries ?? 1;
  return sent("claimSent", await b.claim(terms, place, fromHex(record.preimage), tries), { ...record, claimTries: tries + 1 }, setting);
}

/** The last moment before the preimage leaves. Nodes may have been silent since the gate was asked, and the device asleep. */
async function reveal(record: SwapRecord, setting: Setting): Promise<Step> {
  const place = record.theirPlace as string;
  const shown = { ...record, claimTries: 1 };
  const inTime = (): void => checkReveal(setting.nowS(), theirs(record).timelock, setting.b.timing, setting.policy);
  try {
    // Another process may have asked it, which showed nothing.
    await consulted(setting.beforeReveal, record, inTime);
    await checkMayReveal(record, place, setting);
    // Written down before the wallet sees it: from now on the preimage counts as public.
    await setting.save(shown);
    // The device may have slept over the saving.
    inTime();
  } catch (error) {
    if (isPassing(error)) throw error;
    return held({ ...record, stage: "locked", calledOff: record.calledOff ?? (error as Error).message }, setting);
  }
  return sent("claimSent", await setting.b.claim(theirs(record), place, fromHex(record.preimage), 0), shown, setting);
}

async function withoutTheirs(record: SwapRecord, setting: Setting): Promise<Step> {
  const own = await setting.a.readLock(ours(record), record.place as string, "finalized");
  if (isEnd(own, "claimed")) return ended(record, "lost", setting);
  if (isEnd(own, "refunded")) return ended(record, "refunded", setting);
  if ((await setting.a.head("latest")).timeS < ours(record).timelock) return { record, waitsFor: "our timelock" };
  return saved({ ...record, stage: "refunding" }, setting);
}

async function refund(record: SwapRecord, setting: Setting): Promise<Step> {
  const { a } = setting;
  const [terms, place] = [ours(record), record.place as string];
  const final = await a.readLock(terms, place, "finalized");
  if (isEnd(final, "refunded")) return ended(record, "refunded", setting);
  if (isEnd(final, "claimed")) return ended(record, "lost", setting);
  const underWay = await isPending(record.refundSent, a);
  const newest = await a.readLock(terms, place, "latest");
  if (isEnd(newest, "refunded")) return { record, waitsFor: "our refund to be final" };
  if (underWay) return outbid(record, "refundSent", a, undefined, (over) => a.refund(terms, place, record.refundTries ?? 0, over), setting);
  if (!stands(newest)) return { record, waitsFor: `our lock to be shown again: it is ${newest.status}` };
  const tries = record.refundTries ?? 0;
  return sent("refundSent", await a.refund(terms, place, tries), { ...record, refundTries: tries + 1 }, setting);
}

/** What is under way goes out again for more, if it has waited too long. */
async function outbid(record: SwapRecord, what: "claimSent" | "refundSent", chain: SwapChain, leftS: number | undefined, again: (over: Over) => Promise<Sent>, setting: Setting): Promise<Step> {
  const over = await chain.outbid(record[what] as Sent, leftS);
  if (over === undefined) return { record, waitsFor: `our ${what === "claimSent" ? "claim" : "refund"} to be included` };
  return sent(what, await again(over), record, setting);
}

const sent = (what: "claimSent" | "refundSent", by: Sent, record: SwapRecord, setting: Setting): Promise<Step> => held({ ...record, [what]: by }, setting);

/** What was sent, or is not to be sent any more, is known for as long as this process lives, even if it cannot be written down. */
async function held(record: SwapRecord, setting: Setting): Promise<Step> {
  try {
    return await saved(record, setting);
  } catch (error) {
    return { record, waitsFor: `another look: ${told(error)}` };
  }
}

/** Asked before the newest state is read: what was included by then shows in it, and is not sent again. */
const isPending = async (before: Sent | undefined, chain: SwapChain): Promise<boolean> => before !== undefined && chain.isUnderWay(before);
const stands = (fact: LockFact): boolean => fact.termsMatch && fact.status === "locked";
const isEnd = (fact: LockFact, status: "claimed" | "refunded"): boolean => fact.termsMatch && fact.status === status;

/** A hook that throws calls the swap off, whatever it throws; so does one that answers when it is too late. `inTime` throws then. */
async function consulted(hook: Hook | undefined, record: SwapRecord, inTime: () => void): Promise<void> {
  if (hook === undefined) return;
  let timer: ReturnType<typeof setInterval> | undefined;
  const held = new Promise<never>((_, late) => {
    timer = setInterval(() => {
      try {
        inTime();
      } catch (error) {
        late(error as Error);
      }
    }, HOLD_LOOK_MS);
  });
  try {
    await Promise.race([hook(record), held]);
  } catch (error) {
    throw new CausewayError("hook", `called off: ${told(error)}`);
  } finally {
    clearInterval(timer);
  }
}

const told = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Something that may be otherwise in a moment, and so decides nothing. A closed gate never opens again. */
function isPassing(error: unknown): boolean {
  if (error instanceof GateClosedError) return false;
  return !(error instanceof CausewayError) || (error.retryable && error.code !== "declined");
}
