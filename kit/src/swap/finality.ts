/**
 * What was final stays final, or somebody has to look into it. The final blocks that were seen are remembered, and held against what the
 * chain shows later: also against a chain that went another way while nobody looked.
 */
import type { SwapChain } from "../chains/port.js";
import { CausewayError, unavailable } from "../errors.js";
import type { ChainMemory, FinalBlock, SwapStore } from "./record.js";

/** Final blocks that are remembered of a chain. The newest decides; by the others, how deep it went. */
const MOST_KEPT = 32;
/** How often a chain is looked at while nothing hangs on it: what becomes final meanwhile is remembered. */
const GLANCE_MS = 5_000;

/**
 * What is known of a chain after a look: `seen` is its newest final block, `gone` are remembered ones that it shows no more. What another
 * tab has noticed before, and its owner acknowledged, raises no second alarm.
 */
export function remembered(known: ChainMemory | undefined, seen: FinalBlock, gone: readonly FinalBlock[], nowS: number): ChainMemory {
  const kept = known?.final ?? [];
  const isGone = (one: FinalBlock): boolean => (one.height === seen.height && one.hash !== seen.hash) || gone.some((other) => other.height === one.height && other.hash === one.hash);
  const replaced = kept.filter(isGone);
  const final = kept.filter((one) => !isGone(one));
  if (seen.height > (final.at(-1)?.height ?? -1)) final.push(seen);
  const before = known?.alarm;
  const height = Math.max(before?.height ?? -1, ...replaced.map((one) => one.height));
  const alarm = height < 0 ? undefined : { height, noticedS: before?.noticedS ?? nowS };
  return { final: final.slice(-MOST_KEPT), ...(alarm === undefined ? {} : { alarm }) };
}

export class Finality {
  private readonly glancedMs = new Map<string, number>();

  constructor(
    private readonly store: SwapStore,
    private readonly nowS: () => number,
  ) {}

  /**
   * Throws a retryable error while a final block of one of these chains was replaced, or cannot be held against what they show. `again`: after
   * a first look, if what was final then is there: one question instead of several.
   */
  async check(chains: readonly SwapChain[], again = false): Promise<void> {
    const isAlarmed = async (chain: SwapChain): Promise<boolean> => !(again && (await this.stands(chain))) && (await this.looked(chain)).alarm !== undefined;
    const alarmed = (await Promise.all(chains.map(async (chain) => ((await isAlarmed(chain)) ? [chain.id] : [])))).flat();
    if (alarmed.length > 0) throw unavailable(`a finalized block of ${alarmed.join(", ")} was replaced: look into it, then acknowledge the alarm`, "final-replaced");
  }

  /** Remember what is final, now and then. A chain that does not answer is looked at later. */
  async glance(chains: readonly SwapChain[]): Promise<void> {
    const due = chains.filter(({ id }) => Math.abs(performance.now() - (this.glancedMs.get(id) ?? -Infinity)) >= GLANCE_MS);
    for (const { id } of due) this.glancedMs.set(id, performance.now());
    await Promise.all(
      due.map((chain) =>
        this.looked(chain).catch((error: unknown) => {
          if (!(error instanceof CausewayError)) throw error;
        }),
      ),
    );
  }

  /** There is no alarm, and the newest block that was final is there. */
  private async stands(chain: SwapChain): Promise<boolean> {
    const known = await this.store.remember(chain.id);
    const newest = known?.final.at(-1);
    return newest !== undefined && known?.alarm === undefined && (await chain.blockHash(newest.height)) === newest.hash;
  }

  private async looked(chain: SwapChain): Promise<ChainMemory> {
    const known = await this.store.remember(chain.id);
    // First what is final now: if the chain goes another way after this question, the next ones show it.
    const { height } = await chain.head("finalized");
    const hash = await chain.blockHash(height);
    if (hash === undefined) throw unavailable(`${chain.id} shows no block ${height}, which is final: try again`);
    const [gone, lost]: [FinalBlock[], FinalBlock[]] = [[], []];
    for (const one of [...(known?.final ?? [])].reverse()) {
      const there = one.height === height ? hash : await chain.blockHash(one.height);
      // A block stands for all before it.
      if (there === one.hash) break;
      if (there !== undefined) gone.push(one);
      else if (one.height > height) lost.push(one);
    }
    const made = await this.store.remember(chain.id, (now) => remembered(now, { height, hash }, gone, this.nowS()));
    if (made.alarm === undefined && lost.length > 0) throw unavailable(`${chain.id} shows no block ${lost[0]?.height} any more, which was final: its nodes are behind, or it went another way`);
    return made;
  }
}
