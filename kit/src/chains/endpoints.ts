/** Several nodes of one chain: what counts is what more than half of them say. */
import { CausewayError, rejected, unavailable } from "../errors.js";

export type Fetch = (input: string, init: RequestInit) => Promise<Response>;

const TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const MAX_ENDPOINTS = 32;
/** How long those that have not answered are waited for once a quorum has: one that hangs may not hold up a claim. */
const PATIENCE_MS = 1_500;

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
    // A node that is named twice would have two votes.
    if (new Set(urls.map((url) => url.replace(/\/+$/, ""))).size < urls.length) throw rejected("an endpoint is named twice: name each once");
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

  /**
   * Ask everybody, and hear the answers as they come. Ends when all have answered, `enough` says so, or those that are late were
   * waited for since then; throws with the first reason if fewer than a quorum answer.
   */
  private async heardBy<T>(ask: (url: string) => Promise<T>, enough: (answers: readonly T[]) => boolean, patienceMs: number): Promise<T[]> {
    const [found, failed]: [T[], unknown[]] = [[], []];
    await new Promise<void>((done) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const counted = (): void => {
        if (found.length + failed.length === this.urls.length) {
          clearTimeout(timer);
          done();
        } else if (timer === undefined && enough(found)) timer = setTimeout(done, patienceMs);
      };
      for (const url of this.urls) this.heard(ask, url).then((one) => found.push(one), (error: unknown) => failed.push(error)).then(counted, done);
    });
    if (found.length < this.quorum) throw failed[0];
    return [...found];
  }

  /** The answers of all that answer, or of those that do soon after a quorum. */
  all<T>(ask: (url: string) => Promise<T>): Promise<T[]> {
    return this.heardBy(ask, (found) => found.length >= this.quorum, PATIENCE_MS);
  }

  /** What a quorum answers alike, as soon as it does. Throws a retryable error if they do not agree. */
  async agreed<T>(ask: (url: string) => Promise<T>): Promise<T> {
    // Written down where it is heard: what cannot be written, such as lists in lists without end, is that node's fault alone.
    const spoken = async (url: string): Promise<{ key: string; value: T }> => {
      const value = await ask(url);
      return { key: JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? `${one}n` : one)), value };
    };
    const said = (answers: readonly { key: string; value: T }[]): { value: T } | undefined =>
      answers.find((one) => answers.filter(({ key }) => key === one.key).length >= this.quorum);
    const found = said(await this.heardBy(spoken, (answers) => said(answers) !== undefined, 0));
    if (found === undefined) throw unavailable(`the endpoints do not agree: at least ${this.quorum} of ${this.urls.length} would have to`, "no-quorum");
    return found.value;
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
