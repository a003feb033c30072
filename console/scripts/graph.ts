/** The picture of a trace: holdings in their chains, movements by method and time; exports of what is shown. */
import cytoscape, { type Core, type ElementDefinition } from "cytoscape";

interface Amount { readonly base_units: string; readonly asset: string; readonly symbol: string | null }
interface Movement { readonly from: number | null; readonly to: number | null; readonly time: number; readonly amount: Amount; readonly moved: string; readonly swap: string | null; readonly tx: string; readonly chain: string }
interface Edge extends Movement { readonly taint: string; readonly traced: string }
interface Node { readonly number: number; readonly account: string; readonly asset: string; readonly lock: string | null; readonly chain: string; readonly entity: string | null; readonly categories: readonly string[] }
/** A method has the place of each movement, with what it traces of it in base units and in words, and the numbers of the nodes at its ends. */
interface Graph { readonly nodes: readonly Node[]; readonly movements: readonly Movement[]; readonly methods: Readonly<Record<string, { readonly edges: readonly (readonly [place: number, taint: string, traced: string])[]; readonly ends: readonly number[] }>> }

const OUTSIDE = "outside";
/** Movements of a picture that a reader, and the page, can take in; more are drawn if they are asked for. */
const MOST_DRAWN = 80;
const graph = JSON.parse(document.querySelector("#data")?.textContent ?? "{}") as Graph;
const place = document.querySelector<HTMLElement>("#graph") as HTMLElement;
const method = document.querySelector<HTMLSelectElement>("#method") as HTMLSelectElement;
const until = document.querySelector<HTMLInputElement>("#until") as HTMLInputElement;
const untilShown = document.querySelector<HTMLOutputElement>("#untilshown") as HTMLOutputElement;
const chosen = document.querySelector<HTMLElement>("#chosen") as HTMLElement;
const drawn = document.querySelector<HTMLElement>("#drawn") as HTMLElement;
const all = document.querySelector<HTMLButtonElement>("#all") as HTMLButtonElement;
let most = MOST_DRAWN;
const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const short = (text: string): string => (text.length > 13 ? `${text.slice(0, 6)}…${text.slice(-4)}` : text);
const address = (account: string): string => account.slice(account.lastIndexOf(":") + 1);
const times = [...new Set(graph.movements.map((one) => one.time))].sort((one, other) => one - other);
const name = (node: number | null): string => (node === null ? OUTSIDE : String(node));
const accountOf = (node: number | null): string => (node === null ? "" : (graph.nodes[node]?.account ?? ""));

/** The last moment that is shown, by the slider. */
const limit = (): number => times[Math.round(((times.length - 1) * Number(until.value)) / 100)] ?? Infinity;
const edgesOf = (chosenMethod: string): readonly Edge[] =>
  (graph.methods[chosenMethod]?.edges ?? []).flatMap(([place, taint, traced]) => {
    const movement = graph.movements[place];
    return movement === undefined ? [] : [{ ...movement, taint, traced }];
  });
const shownEdges = (): readonly Edge[] => edgesOf(method.value).filter((edge) => edge.time <= limit());

/** Those with the most of what is traced, in order of time. */
function drawnEdges(): readonly Edge[] {
  const edges = shownEdges();
  if (edges.length <= most) return edges;
  const largest = new Set([...edges].sort((one, other) => Number(BigInt(other.taint) > BigInt(one.taint)) - Number(BigInt(other.taint) < BigInt(one.taint))).slice(0, most));
  return edges.filter((edge) => largest.has(edge));
}

function elements(edges: readonly Edge[]): ElementDefinition[] {
  const used = new Set(edges.flatMap((edge) => [name(edge.from), name(edge.to)]));
  const nodes = graph.nodes.filter((node) => used.has(name(node.number)));
  const ends = new Set(graph.methods[method.value]?.ends ?? []);
  const chains = [...new Set(nodes.map((node) => node.chain))];
  return [
    ...chains.map((chain) => ({ data: { id: `chain ${chain}`, label: chain }, classes: "chain" })),
    ...nodes.map((node) => ({
      data: { id: name(node.number), parent: `chain ${node.chain}`, label: node.entity ?? short(address(node.account)), node },
      classes: `${node.lock !== null ? "lock" : ""} ${ends.has(node.number) ? "end" : ""} ${node.categories.length > 0 ? "known" : ""}`,
    })),
    ...(used.has(OUTSIDE) ? [{ data: { id: OUTSIDE, label: "issued or burnt" }, classes: "lock" }] : []),
    ...edges.map((edge, number) => ({
      data: { id: `edge ${number}`, source: name(edge.from), target: name(edge.to), traced: edge.traced, edge },
      classes: edge.swap !== null ? "swap" : "",
    })),
  ];
}

/** On a narrow screen the hops go down instead of across. */
const narrow = place.clientWidth < 600;
const LAYOUT = {
  name: "breadthfirst", directed: true, animate: false, spacingFactor: narrow ? 1.15 : 1.5,
  transform: (_node: unknown, at: { x: number; y: number }) => (narrow ? { x: at.y, y: at.x } : at),
} as const;

const core: Core = cytoscape({
  container: place,
  maxZoom: 1.4,
  style: [
    { selector: "node", style: { label: "data(label)", color: colour("--text"), "font-size": 13, "background-color": colour("--accent"), "text-wrap": "ellipsis", "text-max-width": "130px", width: 22, height: 22, "text-valign": narrow ? "center" : "bottom", "text-halign": narrow ? "right" : "center", "text-margin-x": narrow ? 6 : 0, "text-margin-y": narrow ? 0 : 4 } },
    { selector: ".chain", style: { "background-color": colour("--back"), "border-color": colour("--line"), "border-width": 1, shape: "round-rectangle", padding: "26px", "text-valign": "top", "text-halign": "center", "text-margin-x": 0, "text-margin-y": -4, "text-max-width": "400px", "font-weight": "bold" } },
    { selector: ".lock", style: { shape: "diamond", "background-color": colour("--soft") } },
    { selector: ".end", style: { "border-width": 3, "border-color": colour("--good") } },
    { selector: ".known", style: { "border-width": 3, "border-color": colour("--bad") } },
    { selector: "edge", style: { width: 2, "line-color": colour("--soft"), "target-arrow-color": colour("--soft"), "target-arrow-shape": "triangle", "curve-style": "bezier", "control-point-step-size": 48, label: "data(traced)", "font-size": 12, color: colour("--soft"), "text-background-color": colour("--card"), "text-background-opacity": 1, "text-background-padding": "2px" } },
    { selector: ".swap", style: { "curve-style": "unbundled-bezier", "control-point-distances": [44], "control-point-weights": [0.5], "line-style": "dashed", "line-color": colour("--accent"), "target-arrow-color": colour("--accent") } },
  ],
});

function draw(): void {
  const [edges, shown] = [drawnEdges(), shownEdges()];
  core.elements().remove();
  core.add(elements(edges));
  core.layout(LAYOUT).run();
  core.fit(undefined, 20);
  untilShown.textContent = Number.isFinite(limit()) ? new Date(limit() * 1000).toISOString().slice(0, 19).replace("T", " ") : "";
  for (const one of document.querySelectorAll<HTMLElement>(".method")) one.hidden = one.dataset["method"] !== method.value;
  place.dataset["edges"] = String(core.edges().length);
  drawn.hidden = edges.length === shown.length;
  drawn.firstElementChild?.replaceChildren(`The ${edges.length} largest of ${shown.length} movements are drawn; the CSV has all. `);
}

function link(text: string, href: string): HTMLAnchorElement {
  const made = document.createElement("a");
  [made.textContent, made.href] = [text, href];
  return made;
}

core.on("tap", "node[?node]", (event) => {
  const node = event.target.data("node") as Node;
  const more = new URLSearchParams({ account: node.account, asset: node.asset });
  chosen.replaceChildren(link(node.account, `/console/accounts/${encodeURIComponent(node.account)}`), ` · ${node.categories.join(", ")} `, link("trace from here", `/console/trace?${more}`));
});
core.on("tap", "edge", (event) => {
  const edge = event.target.data("edge") as Edge;
  const parts: (string | Node | HTMLElement)[] = [`${edge.moved} moved, ${edge.traced} of it traced · `, link("transaction", `/console/transfers?tx=${encodeURIComponent(edge.tx)}`)];
  if (edge.swap !== null) parts.push(" · ", link("swap", `/console/swaps/${encodeURIComponent(edge.swap)}`));
  chosen.replaceChildren(...(parts as (string | HTMLElement)[]));
});

function saved(blob: Blob, name: string): void {
  const made = link("", URL.createObjectURL(blob));
  made.download = name;
  made.click();
  setTimeout(() => URL.revokeObjectURL(made.href), 10_000);
}

/** Quoted, and harmless to spreadsheets that take a leading sign for a formula. */
const cell = (value: unknown): string => `"${String(value ?? "").replace(/^([=+\-@])/, "'$1").replaceAll('"', '""')}"`;

document.querySelector("#csv")?.addEventListener("click", () => {
  const head = ["time", "chain", "transaction", "from", "to", "asset", "base_units", "traced", "swap"];
  const rows = shownEdges().map((edge) => [new Date(edge.time * 1000).toISOString(), edge.chain, edge.tx, accountOf(edge.from), accountOf(edge.to), edge.amount.asset, edge.amount.base_units, edge.taint, edge.swap]);
  saved(new Blob([[head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n")], { type: "text/csv" }), `trace-${method.value}.csv`);
});
document.querySelector("#png")?.addEventListener("click", () => {
  saved(core.png({ output: "blob", full: true, scale: 2, bg: colour("--back") }) as unknown as Blob, `trace-${method.value}.png`);
});
document.querySelector("#controls")?.addEventListener("submit", (event) => event.preventDefault());
method.addEventListener("change", draw);
until.addEventListener("input", draw);
all.addEventListener("click", () => {
  most = Infinity;
  draw();
});
draw();
