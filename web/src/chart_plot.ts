// How a chart is drawn: one uPlot with the limit as a dashed line and the findings' windows shaded.
import uPlot from "uplot";
import type { ChartData, Span } from "./chart_data";
import { siteTime } from "./site_time";

/** What is marked on the plot. */
export interface Marks {
  limit: number | null;
  shades: Span[];
}

const HEIGHT_PX = 220;
const DAY_MS = 86_400_000;

function colour(host: HTMLElement, name: string): string {
  return getComputedStyle(host).getPropertyValue(name).trim();
}

function drawShades(plot: uPlot, shades: Span[], fill: string): void {
  const { left, top, width, height } = plot.bbox;
  plot.ctx.save();
  plot.ctx.fillStyle = fill;
  for (const shade of shades) {
    const start = Math.max(left, plot.valToPos(shade.from / 1000, "x", true));
    const end = Math.min(left + width, plot.valToPos(shade.to / 1000, "x", true));
    // An episode of one sample must still be seen: two pixels at least.
    if (end >= left && start <= left + width) plot.ctx.fillRect(start, top, Math.max(2, end - start), height);
  }
  plot.ctx.restore();
}

function drawLimit(plot: uPlot, limit: number, stroke: string): void {
  const y = plot.valToPos(limit, "y", true);
  plot.ctx.save();
  plot.ctx.strokeStyle = stroke;
  plot.ctx.lineWidth = 1.5 * devicePixelRatio;
  plot.ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(plot.bbox.left, y);
  plot.ctx.lineTo(plot.bbox.left + plot.bbox.width, y);
  plot.ctx.stroke();
  plot.ctx.restore();
}

/** Does the plot show more than a day? Then its times need their dates, on a second line. */
function showsDays(plot: uPlot): boolean {
  return (plot.scales["x"]?.max ?? 0) - (plot.scales["x"]?.min ?? 0) > DAY_MS / 1000;
}

function axisTimes(plot: uPlot, splits: number[], zone: string): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  return splits.map((at) => {
    const text = siteTime(at * 1000, zone, step < 60 ? "second" : "minute");
    if (step >= DAY_MS / 1000) return text.slice(5, 10);
    return showsDays(plot) ? `${text.slice(5, 10)}\n${text.slice(11)}` : text.slice(11);
  });
}

function rangeWith(limit: number | null) {
  return (_plot: uPlot, min: number | null, max: number | null): [number, number] => {
    const low = Math.min(min ?? 0, limit ?? Infinity);
    const high = Math.max(max ?? 1, limit ?? -Infinity);
    const room = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
    return [low - room, high + room];
  };
}

/** uPlot's columns: seconds, highest, lowest. */
function columns(data: ChartData): uPlot.AlignedData {
  return [data.ts.map((ms) => ms / 1000), data.max, data.min];
}

function sizeIn(place: HTMLElement): { width: number; height: number } {
  return { width: Math.max(200, place.clientWidth), height: HEIGHT_PX };
}

/** Give a plot the width of its place, when that has changed. */
export function fitPlot(plot: uPlot, place: HTMLElement): void {
  const size = sizeIn(place);
  if (size.width !== plot.width) plot.setSize(size);
}

/** Show other numbers in a plot. A cursor moved by keys stays at its time; a pointer's stays under the pointer. */
export function showNumbers(plot: uPlot, data: ChartData): void {
  const { idx, top } = plot.cursor;
  const at = idx == null || plot.over.matches(":hover") ? undefined : plot.data[0][idx];
  plot.batch(() => plot.setData(columns(data)));
  if (at !== undefined) plot.setCursor({ left: plot.valToPos(at, "x"), top: top ?? 0 });
}

/** Draw a new plot inside `place`; `zoomed` is called with the stretch that the reader drags over. */
export function drawPlot(
  host: HTMLElement,
  place: HTMLElement,
  data: ChartData,
  marks: Marks,
  zone: string,
  zoomed: (span: Span) => void,
  pointed: (index: number | null) => void,
): uPlot {
  const line = colour(host, "--plot-line");
  const grid = { stroke: colour(host, "--rule"), width: 1 };
  const axis = { stroke: colour(host, "--ink-soft"), grid, ticks: { show: false } };
  const options: uPlot.Options = {
    ...sizeIn(place),
    legend: { show: false },
    cursor: { drag: { x: true, y: false, setScale: false }, points: { show: false } },
    padding: [null, 30, null, null], // half a time of day: the last one is not cut off at the edge
    scales: { y: { range: rangeWith(marks.limit) } },
    axes: [
      {
        ...axis,
        space: 70,
        size: (plot) => (showsDays(plot) ? 44 : 30),
        values: (plot, splits) => axisTimes(plot, splits, zone),
      },
      { ...axis, size: 56 },
    ],
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
    series: [
      {},
      { stroke: line, width: 1.4, points: { show: (plot) => plot.data[0].length < 40, size: 4, fill: line } },
      { stroke: line, width: 1.4, points: { show: false } },
    ],
    bands: [{ series: [1, 2], fill: colour(host, "--plot-band") }],
    hooks: {
      drawClear: [(plot) => drawShades(plot, marks.shades, colour(host, "--plot-shade"))],
      draw: [(plot) => marks.limit !== null && drawLimit(plot, marks.limit, colour(host, "--plot-limit"))],
      setSelect: [
        (plot) => {
          if (plot.select.width < 6) return;
          const from = plot.posToVal(plot.select.left, "x") * 1000;
          const to = plot.posToVal(plot.select.left + plot.select.width, "x") * 1000;
          plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          zoomed({ from, to });
        },
      ],
      setCursor: [(plot) => pointed(plot.cursor.idx ?? null)],
    },
  };
  return new uPlot(options, columns(data), place);
}
