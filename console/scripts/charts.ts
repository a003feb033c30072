/** Charts, each of which says again what a table next to it says. */
import { BarChart } from "echarts/charts";
import { GridComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

echarts.use([BarChart, GridComponent, TooltipComponent, SVGRenderer]);

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

const all = (): void => document.querySelectorAll<HTMLElement>(".chart[data-chart=bars]").forEach(draw);
all();
document.addEventListener("htmx:afterSettle", all);
