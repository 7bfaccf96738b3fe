// Chart data as the API gives it: reduced on the server to about one bucket a pixel, peaks kept.

/** One bucket an index; null is a break in the line. Raw: every reading is there and min equals max. */
export interface ChartData {
  ts: number[];
  min: (number | null)[];
  max: (number | null)[];
  raw: boolean;
}

/** A stretch of time in ms since 1970. */
export interface Span {
  from: number;
  to: number;
}

const TIMEOUT_MS = 8000; // "connected but no answer" must not freeze the page

async function fetched<T>(address: string): Promise<T> {
  const headers = { Accept: "application/json" };
  const answer = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS), headers });
  if (!answer.ok) throw new Error(`${address} answered ${answer.status}`);
  return (await answer.json()) as T;
}

export function fetchChart(series: string, span: Span, width: number): Promise<ChartData> {
  const query = new URLSearchParams({
    from: new Date(span.from).toISOString(),
    to: new Date(span.to).toISOString(),
    width: String(width),
  });
  return fetched<ChartData>(`/api/v1/series/${series}/chart?${query}`);
}

/** What was kept of a finding's series when it opened; it outlives the readings. */
export function fetchFrozen(address: string): Promise<ChartData> {
  return fetched<ChartData>(address);
}

/** Ask which stretch holds the newest readings; recorded data lies in the past, so the browser cannot know. */
export function fetchNewestSpan(address: string): Promise<Span> {
  return fetched<Span>(address);
}

/** Lowest and highest of some buckets, null when they hold no reading. */
export function extremes(data: ChartData, start = 0, end = data.ts.length): [number, number] | null {
  let [low, high] = [Infinity, -Infinity];
  for (let index = start; index < end; index++) {
    low = Math.min(low, data.min[index] ?? Infinity);
    high = Math.max(high, data.max[index] ?? -Infinity);
  }
  return low <= high ? [low, high] : null;
}

/** At most `rows` rows spread evenly over the data, extremes of each stretch kept: the table behind the chart. */
export function tableRows(data: ChartData, rows: number): { ts: number; min: number; max: number }[] {
  const step = Math.max(1, Math.ceil(data.ts.length / rows));
  const table: { ts: number; min: number; max: number }[] = [];
  for (let start = 0; start < data.ts.length; start += step) {
    const found = extremes(data, start, Math.min(start + step, data.ts.length));
    if (found) table.push({ ts: data.ts[start] ?? 0, min: found[0], max: found[1] });
  }
  return table;
}
