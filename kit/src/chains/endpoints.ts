/** Several nodes of one chain: what counts is what more than half of them say. */
import { CausewayError, rejected, unavailable } from "../errors.js";

export type Fetch = (input: string, init: RequestInit) => Promise<Response>;

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_ENDPOINTS = 32;

/** A node answers, and refuses this question; or its answer is larger than is read. */
export class RefusedCall extends CausewayError {
  override readonly name = "RefusedCall";

  constructor(message: string) {
    super("unavailable", message, true);
  }
}

/** JSON by POST, in bounded time and at most 4 MiB. Throws a retryable error if there is none. */
export async function postJson(fetcher: Fetch, url: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<{ status: number; json: unknown }> {
  return requestJson(fetcher, url, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json", ...headers } });
}

export async function requestJson(fetcher: Fetch, url: string, init: RequestInit): Promise<{ status: number; json: unknown }> {
  try {
    const response = await fetcher(url, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS), redirect: "error", credentials: "omit" });
    return { status: response.status, json: JSON.parse(await boundedText(response)) as unknown };
  } catch (error) {
    if (error instanceof CausewayError) throw error;
    throw unavailable(`${shown(url)} does not answer (${(error as Error).message})`);
  }
}

async function boundedText(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return "";
  const decoder = new TextDecoder();
  let [text, size] = ["", 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.length;
    if (size > MAX_ANSWER_BYTES) {
      await reader.cancel();
      throw new RefusedCall(`an answer has more than ${MAX_ANSWER_BYTES} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

const shown = (url: string): string => url.replace(/^([a-z]+:\/\/)[^/@]*@/, "$1").split("?")[0] as string;

/** One question to a node, by JSON-RPC 2.0. */
export async function rpc(fetcher: Fetch, url: string, method: string, params: unknown): Promise<unknown> {
  const { json } = await postJson(fetcher, url, { jsonrpc: "2.0", id: 1, method, params });
  if (typeof json !== "object" || json === null) throw unavailable(`${shown(url)} answers ${method} with something that is no JSON-RPC`);
  const { result, error } = json as { result?: unknown; error?: { message?: unknown; data?: unknown } | null };
  if (error !== undefined && error !== null) throw new RefusedCall(`${method} was refused: ${[error.message, error.data].filter((part) => typeof part === "string").join(": ").slice(0, 500)}`);
  return result;
}

export class Endpoints {
  constructor(
    readonly urls: readonly string[],
    private readonly fetcher: Fetch = (input, init) => fetch(input, init),
  ) {
    if (urls.length === 0 || urls.length > MAX_ENDPOINTS) throw rejected(`a chain has 1 to ${MAX_ENDPOINTS} endpoints, not ${urls.length}`);
  }

  /** How many have to agree. */
  get quorum(): number {
    return Math.floor(this.urls.length / 2) + 1;
  }

  call(url: string, method: string, params: unknown): Promise<unknown> {
    return rpc(this.fetcher, url, method, params);
  }

  /** What `ask` makes of one node's answer; one that it cannot read is none. */
  private async heard<T>(ask: (url: string) => Promise<T>, url: string): Promise<T> {
    try {
      return await ask(url);
    } catch (error) {
      if (error instanceof CausewayError) throw error;
      throw unavailable(`${shown(url)} answers with something that cannot be read`);
    }
  }

  /** The answers of all that answer; throws with the first reason if fewer than a quorum do. */
  async all<T>(ask: (url: string) => Promise<T>): Promise<T[]> {
    const settled = await Promise.allSettled(this.urls.map((url) => this.heard(ask, url)));
    const found = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    if (found.length < this.quorum) throw (settled.find((one) => one.status === "rejected") as PromiseRejectedResult).reason;
    return found;
  }

  /** What a quorum answers alike. Throws a retryable error if they do not agree. */
  async agreed<T>(ask: (url: string) => Promise<T>): Promise<T> {
    const counted = new Map<string, { count: number; value: T }>();
    for (const value of await this.all(ask)) {
      const key = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? `${one}n` : one));
      const known = counted.get(key) ?? { count: 0, value };
      known.count += 1;
      if (known.count >= this.quorum) return known.value;
      counted.set(key, known);
    }
    throw unavailable(`the endpoints do not agree: at least ${this.quorum} of ${this.urls.length} would have to`, "no-quorum");
  }

  /** The highest number that a quorum has reached. */
  async reached(ask: (url: string) => Promise<number>): Promise<number> {
    const heights = (await this.all(ask)).sort((one, other) => other - one);
    return heights[this.quorum - 1] as number;
  }

  /** The first answer of whoever gives one. */
  async any<T>(ask: (url: string) => Promise<T>): Promise<T> {
    try {
      return await Promise.any(this.urls.map((url) => this.heard(ask, url)));
    } catch (error) {
      throw (error as AggregateError).errors[0];
    }
  }
}
