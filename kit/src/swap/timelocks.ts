/**
 * How much time every step of a swap needs: the gates of `htlc/timelocks.py`, computed again.
 *
 * I = worst inclusion, F = finality, O = our observation and decision; lead and lag: how far a chain's time may run ahead
 * of or behind true time. U is time given to a person, R an outage allowance. A is the initiator's chain, B the
 * participant's. All in whole seconds; `now` is true time, rounded up.
 */
import { GateClosedError, rejected, unavailable } from "../errors.js";

/** The allowances of one chain. They are configured by whoever uses the kit, never taken from a relayer. */
export interface ChainTiming {
  readonly block_time_s: number;
  readonly inclusion_s: number;
  readonly finality_s: number;
  readonly observation_s: number;
  readonly lead_s: number;
  readonly lag_s: number;
}

/** The allowances that are chosen, not measured. */
export interface SwapPolicy {
  readonly lock_s: number;
  readonly claim_s: number;
  readonly initiator_outage_s: number;
  readonly participant_outage_s: number;
}

export const PRODUCTION_POLICY: SwapPolicy = { lock_s: 15 * 60, claim_s: 10 * 60, initiator_outage_s: 60 * 60, participant_outage_s: 2 * 60 * 60 };
export const DEVNET_POLICY: SwapPolicy = { lock_s: 3, claim_s: 2, initiator_outage_s: 2, participant_outage_s: 2 };

type Terms = Readonly<Record<string, number>>;

const revealTerms = (b: ChainTiming, policy: SwapPolicy): Terms => ({
  "2·I_B": 2 * b.inclusion_s,
  F_B: b.finality_s,
  R_i: policy.initiator_outage_s,
  lead_B: b.lead_s,
});

const lockTerms = (a: ChainTiming, b: ChainTiming, policy: SwapPolicy): Terms => ({
  I_A: a.inclusion_s,
  F_A: a.finality_s,
  O_A: a.observation_s,
  I_B: b.inclusion_s,
  "F_B (lock)": b.finality_s,
  O_B: b.observation_s,
  U_claim: policy.claim_s,
  ...revealTerms(b, policy),
});

const gapTerms = (a: ChainTiming, b: ChainTiming, policy: SwapPolicy): Terms => ({
  lag_B: b.lag_s,
  O_B: b.observation_s,
  "2·I_A": 2 * a.inclusion_s,
  F_A: a.finality_s,
  R_p: policy.participant_outage_s,
  lead_A: a.lead_s,
});

/** Before our lock: whoever locks now will still find the other's gate open. */
export function checkLock(nowS: number, tB: number, a: ChainTiming, b: ChainTiming, policy: SwapPolicy): void {
  check("lock", "T_B − now", tB - nowS, lockTerms(a, b, policy));
}

/** Between the timelocks: the participant has the time it needs, or it would not lock. */
export function checkGap(tA: number, tB: number, a: ChainTiming, b: ChainTiming, policy: SwapPolicy): void {
  check("gap", "T_A − T_B", tA - tB, gapTerms(a, b, policy));
}

/** Before the first broadcast of our claim: it will be final in time, though a reorg take it out once. */
export function checkReveal(nowS: number, tB: number, b: ChainTiming, policy: SwapPolicy): void {
  check("reveal", "T_B − now", tB - nowS, revealTerms(b, policy));
}

/** Hold a chain's newest block time against our clock: neither locks nor reveals happen by a wrong one. */
export function checkSkew(chain: string, headS: number, nowS: number, timing: ChainTiming): void {
  const ahead = headS - nowS;
  if (ahead > timing.lead_s) throw unavailable(`${chain} is ${ahead} s ahead of this device's clock, at most ${timing.lead_s} s are allowed: set the clock`, "clock-skew");
  const bound = timing.lag_s + timing.inclusion_s + timing.observation_s;
  if (-ahead > bound) throw unavailable(`${chain} is ${-ahead} s behind this device's clock, at most ${bound} s are allowed: set the clock, or wait for the chain`, "clock-skew");
}

function check(gate: string, left: string, leftS: number, terms: Terms): void {
  const right = Object.values(terms).reduce((sum, one) => sum + one, 0);
  if (!Number.isSafeInteger(leftS) || !Number.isSafeInteger(right)) throw rejected("a time is not a whole number of seconds");
  if (leftS <= right) throw new GateClosedError(gate, leftS, terms, left);
}
