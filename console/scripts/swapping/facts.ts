/** What the page knows before any question (`page.json`), and what the relayer offers between these assets. */
import { requestJson } from "../../../kit/src/chains/endpoints.js";
import { rejected } from "../../../kit/src/errors.js";
import type { ChainTiming, SwapPolicy } from "../../../kit/src/swap/timelocks.js";

const VERSION = 1;
const MAX_PAIRS = 256;
const AMOUNT = /^[0-9]{1,78}$/;

export interface Asset {
  readonly id: string;
  readonly symbol: string;
  readonly decimals: number;
}

export interface PageChain {
  readonly kind: "evm" | "consortium";
  readonly id: string;
  readonly name: string;
  readonly genesis: string;
  readonly contract: string | null;
  readonly endpoints: readonly string[];
  readonly timing: ChainTiming;
  readonly assets: readonly Asset[];
}

export interface Facts {
  readonly version: number;
  readonly name: string;
  /** Empty: the page's own origin. */
  readonly relayer: string;
  readonly relayer_key: string;
  readonly policy: SwapPolicy;
  readonly chains: readonly PageChain[];
}

export interface Pair {
  readonly give: Asset;
  readonly get: Asset;
  readonly numerator: bigint;
  readonly denominator: bigint;
  readonly minimum: bigint;
  readonly maximum: bigint;
  readonly paused: string | undefined;
}

const fetcher = (url: string, init: RequestInit): Promise<Response> => fetch(url, init);

export async function readFacts(): Promise<Facts> {
  const { status, json } = await requestJson(fetcher, new URL("page.json", location.href).href, { method: "GET" });
  const facts = json as Partial<Facts> | null;
  if (status !== 200 || facts?.version !== VERSION || !Array.isArray(facts.chains)) throw rejected("this page and its description are of two versions: load it again");
  const chains = (facts.chains as PageChain[]).map((chain) => ({ ...chain, assets: chain.assets.map((asset) => ({ ...asset, symbol: asset.symbol.toUpperCase() })) }));
  return { ...(facts as Facts), chains };
}

export const relayerUrl = (facts: Facts): string => (facts.relayer === "" ? location.origin : facts.relayer);
export const chainOf = (facts: Facts, id: string): PageChain | undefined => facts.chains.find((one) => id.startsWith(`${one.id}/`) || id === one.id);
export const isToken = (id: string): boolean => id.includes("/erc20:");
export const assetOf = (facts: Facts, id: string): Asset | undefined => facts.chains.flatMap((one) => one.assets).find((one) => one.id === id);

/** What is offered between assets that the page knows. Only numbers are taken from the relayer here, and a quote is checked anyway. */
export async function readPairs(facts: Facts): Promise<Pair[]> {
  const { status, json } = await requestJson(fetcher, `${relayerUrl(facts)}/v1/pairs`, { method: "GET" });
  if (status !== 200 || !Array.isArray(json)) throw rejected("the relayer does not say what it trades");
  return (json as unknown[]).slice(0, MAX_PAIRS).flatMap((one) => pairOf(facts, one));
}

function pairOf(facts: Facts, one: unknown): Pair[] {
  const { initiator, participant, rate, limits, pause } = (one ?? {}) as {
    initiator?: { id?: unknown }; participant?: { id?: unknown }; rate?: { numerator?: unknown; denominator?: unknown };
    limits?: { minimum?: unknown; maximum?: unknown }; pause?: { reason?: unknown } | null;
  };
  const [give, get] = [assetOf(facts, String(initiator?.id)), assetOf(facts, String(participant?.id))];
  const numbers = [rate?.numerator, rate?.denominator, limits?.minimum, limits?.maximum];
  if (give === undefined || get === undefined || !numbers.every((number) => typeof number === "string" && AMOUNT.test(number))) return [];
  const [numerator = 0n, denominator = 0n, minimum = 0n, maximum = 0n] = numbers.map((number) => BigInt(number as string));
  // At a rate of nothing, or of everything, no amount follows from the other.
  if (numerator === 0n || denominator === 0n) return [];
  return [{ give, get, numerator, denominator, minimum, maximum, paused: pause == null ? undefined : String(pause.reason).slice(0, 300) }];
}
