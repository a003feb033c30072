/** The picture of a trace: holdings in their chains, movements by method and time; exports of what is shown. */
import cytoscape, { type Core, type ElementDefinition } from "cytoscape";

interface Amount { readonly base_units: string; readonly asset: string; readonly symbol: string | null }
interface Edge { readonly from: string | null; readonly to: string | null; readonly time: number; readonly taint: string; readonly amount: Amount; readonly moved: string; readonly traced: string; readonly swap: string | null; readonly tx: string; readonly chain: string }
interface Node { readonly id: string; readonly account: string; readonly asset: string; readonly lock: string | null; readonly chain: string; readonly entity: string | null; readonly categories: readonly string[] }
interface Graph { readonly nodes: readonly Node[]; readonly methods: Readonly<Record<string, { readonly edges: readonly Edge[]; readonly ends: Readonly<Record<string, { taint: string; stop: string | null }>> }>> }

const OUTSIDE = "outside";
const graph = JSON.parse(document.querySelector("#data")?.textContent ?? "{}") as Graph;
const place = document.querySelector<HTMLElement>("#graph") as HTMLElement;
const method = document.querySelector<HTMLSelectElement>("#method") as HTMLSelectElement;
const until = document.querySelector<HTMLInputElement>("#until") as HTMLInputElement;
const untilShown = document.querySelector<HTMLOutputElement>("#untilshown") as HTMLOutputElement;
const chosen = document.querySelector<HTMLElement>("#chosen") as HTMLElement;
const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const short = (text: string): string => (text.length > 13 ? `${text.slice(0, 6)}…${text.slice(-4)}` : text);
const address = (account: string): string => account.slice(account.lastIndexOf(":") + 1);
const times = [...new Set(Object.values(graph.methods).flatMap((one) => one.edges.map((edge) => edge.time)))].sort((one, other) => one - other);

/** The last moment that is shown, by the slider. */
const limit = (): number => times[Math.round(((times.length - 1) * Number(until.value)) / 100)] ?? Infinity;
const shownEdges = (): readonly Edge[] => (graph.methods[method.value]?.edges ?? []).filter((edge) => edge.time <= limit());

function elements(): ElementDefinition[] {
  const edges = shownEdges();
  const used = new Set(edges.flatMap((edge) => [edge.from ?? OUTSIDE, edge.to ?? OUTSIDE]));
  const nodes = graph.nodes.filter((node) => used.has(node.id));
  const ends = graph.methods[method.value]?.ends ?? {};
  const chains = [...new Set(nodes.map((node) => node.chain))];
  return [
    ...chains.map((chain) => ({ data: { id: `chain ${chain}`, label: chain }, classes: "chain" })),
    ...nodes.map((node) => ({
      data: { id: node.id, parent: `chain ${node.chain}`, label: node.entity ?? short(address(node.account)), node },
      classes: `${node.lock !== null ? "lock" : ""} ${ends[node.id] !== undefined ? "end" : ""} ${node.categories.length > 0 ? "known" : ""}`,
    })),
    ...(used.has(OUTSIDE) ? [{ data: { id: OUTSIDE, label: "issued or burnt" }, classes: "lock" }] : []),
    ...edges.map((edge, number) => ({
      data: { id: `edge ${number}`, source: edge.from ?? OUTSIDE, target: edge.to ?? OUTSIDE, traced: edge.traced, edge },
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
  elements: elements(),
  style: [
    { selector: "node", style: { label: "data(label)", color: colour("--text"), "font-size": 13, "background-color": colour("--accent"), "text-wrap": "ellipsis", "text-max-width": "130px", width: 22, height: 22, "text-valign": narrow ? "center" : "bottom", "text-halign": narrow ? "right" : "center", "text-margin-x": narrow ? 6 : 0, "text-margin-y": narrow ? 0 : 4 } },
    { selector: ".chain", style: { "background-color": colour("--back"), "border-color": colour("--line"), "border-width": 1, shape: "round-rectangle", padding: "26px", "text-valign": "top", "text-halign": "center", "text-margin-x": 0, "text-margin-y": -4, "text-max-width": "400px", "font-weight": "bold" } },
    { selector: ".lock", style: { shape: "diamond", "background-color": colour("--soft") } },
    { selector: ".end", style: { "border-width": 3, "border-color": colour("--good") } },
    { selector: ".known", style: { "border-width": 3, "border-color": colour("--bad") } },
    { selector: "edge", style: { width: 2, "line-color": colour("--soft"), "target-arrow-color": colour("--soft"), "target-arrow-shape": "triangle", "curve-style": "bezier", "control-point-step-size": 48, label: "data(traced)", "font-size": 12, color: colour("--soft"), "text-background-color": colour("--card"), "text-background-opacity": 1, "text-background-padding": "2px" } },
    { selector: ".swap", style: { "curve-style": "unbundled-bezier", "control-point-distances": [44], "control-point-weights": [0.5], "line-style": "dashed", "line-color": colour("--accent"), "target-arrow-color": colour("--accent") } },
  ],
  layout: LAYOUT,
});

function draw(): void {
  core.elements().remove();
  core.add(elements());
  core.layout(LAYOUT).run();
  core.fit(undefined, 20);
  untilShown.textContent = Number.isFinite(limit()) ? new Date(limit() * 1000).toISOString().slice(0, 19).replace("T", " ") : "";
  for (const one of document.querySelectorAll<HTMLElement>(".method")) one.hidden = one.dataset["method"] !== method.value;
  place.dataset["edges"] = String(core.edges().length);
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
  const rows = shownEdges().map((edge) => [new Date(edge.time * 1000).toISOString(), edge.chain, edge.tx, edge.from?.split(" ")[0], edge.to?.split(" ")[0], edge.amount.asset, edge.amount.base_units, edge.taint, edge.swap]);
  saved(new Blob([[head, ...rows].map((row) => row.map(cell).join(",")).join("\r\n")], { type: "text/csv" }), `trace-${method.value}.csv`);
});
document.querySelector("#png")?.addEventListener("click", () => {
  saved(core.png({ output: "blob", full: true, scale: 2, bg: colour("--back") }) as unknown as Blob, `trace-${method.value}.png`);
});
document.querySelector("#controls")?.addEventListener("submit", (event) => event.preventDefault());
method.addEventListener("change", draw);
until.addEventListener("input", draw);
draw();
