/** The wallet that signs on Ethereum: found, asked, and found again at the next visit. */
import { type FoundWallet, browserWallets, connectWallet, connectedWallet } from "../../../kit/src/browser/index.js";
import type { EvmWallet } from "../../../kit/src/chains/ethereum.js";
import { button, make, one, say } from "./dom.js";
import type { PageChain } from "./facts.js";

const LAST = "causeway-swap-wallet";

export interface Connected {
  readonly found: FoundWallet;
  /** One for each Ethereum chain of the page, by its id. */
  readonly on: ReadonlyMap<string, EvmWallet>;
  readonly address: string;
}

const nameOf = (found: FoundWallet): string => found.rdns ?? found.name;

/** The wallet of the last visit, if it still shows this page an account. Nobody is asked. */
export async function connectedBefore(chains: readonly PageChain[]): Promise<Connected | undefined> {
  const last = remembered();
  const found = last === null ? undefined : (await browserWallets()).find((wallet) => nameOf(wallet) === last);
  if (found === undefined) return undefined;
  return held(found, chains, (chain) => connectedWallet(found, chain.id, factsOf(chain)));
}

async function connect(found: FoundWallet, chains: readonly PageChain[]): Promise<Connected | undefined> {
  const made = await held(found, chains, (chain, first) => (first ? connectWallet(found, chain.id, factsOf(chain)) : connectedWallet(found, chain.id, factsOf(chain))));
  if (made !== undefined) remember(nameOf(found));
  return made;
}

/** A browser may keep nothing for this page: then the wallet is chosen again at each visit. */
function remembered(): string | null {
  try {
    return localStorage.getItem(LAST);
  } catch {
    return null;
  }
}

function remember(name: string): void {
  try {
    localStorage.setItem(LAST, name);
  } catch {
    // As above.
  }
}

async function held(found: FoundWallet, chains: readonly PageChain[], ask: (chain: PageChain, first: boolean) => Promise<EvmWallet | undefined>): Promise<Connected | undefined> {
  const on = new Map<string, EvmWallet>();
  for (const [place, chain] of chains.entries()) {
    const wallet = await ask(chain, place === 0);
    if (wallet !== undefined) on.set(chain.id, wallet);
  }
  const address = on.values().next().value?.account.address;
  return address === undefined ? undefined : { found, on, address };
}

const factsOf = (chain: PageChain): { name: string; rpcUrls: readonly string[] } => ({ name: chain.name, rpcUrls: chain.endpoints });

/** List the wallets of this browser; `chosen` gets the one that its owner lets in, `failed` what went wrong. */
export async function offerWallets(chains: readonly PageChain[], chosen: (made: Connected) => void, failed: (error: unknown) => void): Promise<void> {
  const found = await browserWallets();
  const list = one("wallets");
  list.replaceChildren(
    ...found.map((wallet) => {
      const icon = wallet.icon === undefined ? undefined : make("img", { src: wallet.icon, alt: "", width: "28", height: "28" });
      const pick = button("", async () => {
        pick.disabled = true;
        try {
          const made = await connect(wallet, chains);
          if (made !== undefined) chosen(made);
        } catch (error) {
          failed(error);
        } finally {
          pick.disabled = false;
        }
      });
      pick.append(...(icon === undefined ? [] : [icon]), make("span", {}, wallet.name));
      return make("li", {}, pick);
    }),
  );
  say(
    one("wallet-text"),
    found.length > 0
      ? "Choose the wallet that pays and is paid on Ethereum. It asks you before each transaction."
      : "No wallet was found in this browser. Install or unlock one (any that announces itself by EIP-6963 or EIP-1193), then look again.",
  );
}

/** Call `changed` when the wallet's owner chooses another account, or takes this page's leave away. */
export function whenChanged({ found, address }: Connected, changed: () => void): void {
  const { on } = found.provider as { on?: (event: string, heard: (value: unknown) => void) => void };
  if (typeof on !== "function") return;
  on.call(found.provider, "accountsChanged", (accounts) => {
    const [first] = Array.isArray(accounts) ? (accounts as unknown[]) : [];
    if (String(first).toLowerCase() !== address.toLowerCase()) changed();
  });
}
