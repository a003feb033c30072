/** Charts, each of which says again what a table next to it says. */
import { BarChart, SankeyChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

echarts.use([BarChart, SankeyChart, GridComponent, TooltipComponent, SVGRenderer]);

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function draw(place: HTMLElement): void {
  const values = JSON.parse(place.dataset["values"] ?? "{}") as Record<string, number>;
  const names = Object.keys(values);
  if (names.length === 0 || echarts.getInstanceByDom(place) !== undefined) return;
  const chart = echarts.init(place, undefined, { renderer: "svg" });
  chart.setOption({
    animation: false,
    grid: { left: 4, right: 24, top: 4, bottom: 4, containLabel: true },
    xAxis: { type: "value", minInterval: 1, axisLabel: { color: colour("--soft") }, splitLine: { lineStyle: { color: colour("--line") } } },
    yAxis: { type: "category", data: names.map((one) => one.replaceAll("-", " ")), inverse: true, axisLabel: { color: colour("--text") } },
    series: [{ type: "bar", data: names.map((one) => values[one] ?? 0), itemStyle: { color: colour("--accent") }, barMaxWidth: 18 }],
    tooltip: { trigger: "axis" },
  });
  addEventListener("resize", () => chart.resize());
}

interface Flow { readonly source: string; readonly target: string; readonly value: number }

function sankey(place: HTMLElement): void {
  const links = JSON.parse(place.dataset["values"] ?? "[]") as Flow[];
  if (links.length === 0 || echarts.getInstanceByDom(place) !== undefined) return;
  const names = [...new Set(links.flatMap((one) => [one.source, one.target]))];
  const ends = new Set(links.map((one) => one.target));
  const chart = echarts.init(place, undefined, { renderer: "svg" });
  // On a narrow screen both ends share little room: the side says already which is which.
  const written = (name: string): string => (place.clientWidth < 600 ? name.replace(/^(gave|got) /, "").replace(" on ", "\n") : name);
  chart.setOption({
    animation: false,
    color: [colour("--accent"), colour("--good"), colour("--wait"), colour("--violet"), colour("--bad")],
    series: [{ type: "sankey", left: 4, right: 4, top: 8, bottom: 8, draggable: false, data: names.map((name) => ({ name, label: { position: ends.has(name) ? "left" : "right" } })), links, label: { color: colour("--text"), fontSize: 13, formatter: ({ name }: { name: string }) => written(name) }, nodeWidth: 10, nodeGap: 18, lineStyle: { color: "source", opacity: 0.35 } }],
    tooltip: { trigger: "item" },
  });
  addEventListener("resize", () => chart.resize());
}

const all = (): void => document.querySelectorAll<HTMLElement>(".chart[data-chart=bars]").forEach(draw);
const flows = (): void => document.querySelectorAll<HTMLElement>(".chart[data-chart=sankey]").forEach(sankey);
all();
flows();
document.addEventListener("htmx:afterSettle", () => (all(), flows()));
