/** Swaps that go on by themselves: each is carried by the kit, and both of its legs are looked at here for the eye. */
import type { SwapChain, LockFact } from "../../../kit/src/chains/port.js";
import { CausewayError } from "../../../kit/src/errors.js";
import type { SwapClient, SwapView } from "../../../kit/src/swap/client.js";
import { type TermsBody, termsOf } from "../../../kit/src/swap/terms.js";

const LOOK_MS = 1_500;
const AGAIN_MS = 4_000;

export interface Heads {
  readonly latest: number;
  readonly final: number;
  /** The chain's own time, Unix seconds. */
  readonly timeS: number;
}

/** A leg as its chain shows it: `newest` may still be undone, `final` may not. */
export interface LegSeen {
  readonly newest: LockFact | undefined;
  readonly final: LockFact | undefined;
}

export interface Going {
  view: SwapView;
  waitsFor: string | undefined;
  /** What stopped it, if something did. */
  stopped: unknown;
  running: boolean;
  seen: { ours: LegSeen | undefined; theirs: LegSeen | undefined };
}

export class Runner {
  readonly swaps = new Map<string, Going>();
  readonly heads = new Map<string, Heads>();
  private readonly loops = new Map<string, { readonly stop: AbortController; readonly ended: Promise<void> }>();

  constructor(
    readonly client: SwapClient,
    readonly chains: ReadonlyMap<string, SwapChain>,
    private readonly changed: (key: string) => void,
  ) {}

  /** Read what the store has, and go on with all that is not done. Prices that are over, and that nobody can have agreed to, are forgotten. */
  async begin(): Promise<void> {
    for (const view of (await this.client.swaps()).reverse()) {
      if (view.stage === "opening" && Date.now() / 1000 >= view.quote.expires_at && (await this.forget(view.key))) continue;
      this.put(view);
      if (view.stage !== "done" && view.stage !== "opening") this.start(view.key);
    }
  }

  put(view: SwapView): Going {
    const known = this.swaps.get(view.key);
    const going: Going = known ?? { view, waitsFor: undefined, stopped: undefined, running: false, seen: { ours: undefined, theirs: undefined } };
    going.view = view;
    this.swaps.set(view.key, going);
    this.changed(view.key);
    return going;
  }

  /** True once the store has it no more; false while another tab works on it, or if it is to be kept. */
  async forget(key: string): Promise<boolean> {
    try {
      await this.client.forget(key);
    } catch (error) {
      if (error instanceof CausewayError && ["busy", "rejected"].includes(error.code)) return false;
      throw error;
    }
    this.swaps.delete(key);
    return true;
  }

  start(key: string): void {
    if (this.loops.has(key)) return;
    const stop = new AbortController();
    const ended = this.carry(key, stop.signal).finally(() => this.loops.delete(key));
    this.loops.set(key, { stop, ended });
  }

  /** Neither lock nor reveal from now on; what is locked comes back after its timelock. */
  async callOff(key: string): Promise<void> {
    const loop = this.loops.get(key);
    loop?.stop.abort();
    await loop?.ended;
    try {
      this.put(await this.client.cancel(key, "called off by you"));
    } finally {
      // Also if another tab has it, which this one then says, and watches.
      this.start(key);
    }
  }

  private async carry(key: string, signal: AbortSignal): Promise<void> {
    const going = this.swaps.get(key) ?? this.put(await this.client.swap(key));
    while (!signal.aborted) {
      going.running = true;
      try {
        const ended = await this.client.run(key, {
          signal,
          onProgress: (made) => {
            going.stopped = undefined;
            going.waitsFor = made.waitsFor;
            this.put(made);
          },
        });
        going.waitsFor = undefined;
        this.put(ended);
        return;
      } catch (error) {
        if (signal.aborted) return;
        going.stopped = error;
        this.put(await this.client.swap(key).catch(() => going.view));
        // Somebody has to act; only waiting for another tab ends by itself.
        if (!(error instanceof CausewayError) || error.code !== "busy") return;
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        if (going.view.stage === "done") return;
      } finally {
        going.running = false;
        this.changed(key);
      }
    }
  }

  /** Look at both chains, and at the legs of what is open, for as long as the page is there. */
  async watch(): Promise<never> {
    for (;;) {
      if (!document.hidden) await Promise.all([this.lookAtHeads(), ...[...this.swaps.values()].map((going) => this.lookAtLegs(going))]);
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  private async lookAtHeads(): Promise<void> {
    const open = [...this.swaps.values()].some((going) => going.view.stage !== "done");
    if (!open && this.heads.size === this.chains.size) return;
    await Promise.all(
      [...this.chains.values()].map(async (chain) => {
        try {
          const [latest, final] = await Promise.all([chain.head("latest"), chain.head("finalized")]);
          this.heads.set(chain.id, { latest: Math.max(latest.height, final.height), final: final.height, timeS: latest.timeS });
        } catch {
          // Shown as it was; what counts says its reasons where the swap is carried on.
        }
      }),
    );
    for (const [key, going] of this.swaps) if (going.view.stage !== "done") this.changed(key);
  }

  private async lookAtLegs(going: Going): Promise<void> {
    const { view } = going;
    const isEnding = view.stage === "done" && (going.seen.ours === undefined || going.seen.theirs === undefined || isOpen(going.seen.ours) || isOpen(going.seen.theirs));
    if (view.terms.ours === undefined || view.terms.theirs === undefined || (view.stage === "done" && !isEnding) || view.result === "abandoned") return;
    const [ours, theirs] = await Promise.all([
      this.leg(view.terms.ours, view.places.ours, view.since).catch(() => going.seen.ours),
      this.leg(view.terms.theirs, view.places.theirs, view.since).catch(() => going.seen.theirs),
    ]);
    going.seen = { ours, theirs };
    this.changed(view.key);
  }

  private async leg(body: TermsBody, place: string | undefined, since: number | undefined): Promise<LegSeen | undefined> {
    const [chain, terms] = [this.chains.get(body.chain), termsOf(body)];
    if (chain === undefined) return undefined;
    if (place === undefined) {
      const found = await chain.findLock(terms, since ?? 0);
      return { newest: found, final: found };
    }
    const [newest, final] = await Promise.all([chain.readLock(terms, place, "latest"), chain.readLock(terms, place, "finalized")]);
    return { newest, final };
  }
}

const isOpen = (leg: LegSeen): boolean => leg.final?.status === "locked" || (leg.newest !== undefined && leg.newest.status !== leg.final?.status);
