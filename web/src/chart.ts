// <ws-chart series="12" name="vibration" unit="mm/s" zone="Asia/Shanghai" from="ms" to="ms" limit="7.1"
//           shades="[[from, to], ...]" newest="/series/12/span" frozen="/findings/1/packs/12">
//           a link to the numbers, for pages without scripts
//
// Shows a stretch of one series: min and max of each pixel, the limit dashed, findings shaded. Dragging zooms in
// (and asks the server for finer data), double click goes back. Arrow keys move a cursor whose reading is written
// and announced; a table of the same numbers is behind the plot. With newest="" it follows the newest readings;
// with frozen="" it falls back on what was kept of a finding when the readings are gone.
import { LitElement, css, html, unsafeCSS } from "lit";
import uPlot from "uplot";
import plotStyles from "uplot/dist/uPlot.min.css?inline";
import { type ChartData, type Span, extremes, fetchChart, fetchFrozen, fetchNewestSpan, tableRows } from "./chart_data";
import { drawPlot, fitPlot, showNumbers } from "./chart_plot";
import { siteTime } from "./site_time";
import { _, filled } from "./words";

const POLL_MS = 4000;
const TABLE_ROWS = 40;

class Chart extends LitElement {
  static override properties = {
    series: {}, name: {}, unit: {}, zone: {}, newest: {}, frozen: {},
    from: { type: Number }, to: { type: Number }, limit: { type: Number }, shades: { type: Array },
    numbers: { state: true }, trouble: { state: true }, reading: { state: true }, zoom: { state: true },
  };
  declare series: string;
  declare name: string;
  declare unit: string;
  declare zone: string;
  declare newest: string;
  declare frozen: string;
  declare from: number;
  declare to: number;
  declare limit: number | null;
  declare shades: [number, number][];
  declare numbers: ChartData | null;
  declare trouble: boolean;
  declare reading: string;
  declare zoom: Span | null;
  private plot: uPlot | null = null;
  private timer: number | undefined;
  private cursor = 0;
  private held: Promise<void> | null = null; // until the pointer that is down on the plot is up again
  private watcher = new ResizeObserver(() => this.fit());
  private scheme = matchMedia("(prefers-color-scheme: dark)");

  constructor() {
    super();
    this.name = this.unit = this.newest = this.frozen = this.reading = "";
    this.zone = "UTC";
    this.limit = this.numbers = this.zoom = null;
    this.shades = [];
    this.trouble = false;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.watcher.observe(this);
    this.scheme.addEventListener("change", this.draw);
    const idle = () => !document.hidden && !this.zoom && !this.held;
    if (this.newest) this.timer = window.setInterval(() => idle() && void this.load(), POLL_MS);
    void this.updateComplete.then(() => this.load());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.watcher.disconnect();
    this.scheme.removeEventListener("change", this.draw);
    window.clearInterval(this.timer);
    this.plot?.destroy();
    this.plot = null;
  }

  private async load(): Promise<void> {
    const zoom = this.zoom;
    let numbers: ChartData | null = null;
    try {
      if (this.newest && !zoom) ({ from: this.from, to: this.to } = await fetchNewestSpan(this.newest));
      const width = Math.round(Math.min(2000, Math.max(200, this.clientWidth)));
      numbers = await fetchChart(this.series, zoom ?? { from: this.from, to: this.to }, width);
      // Readings go when their time is up; what was frozen with a finding stays.
      if (this.frozen && !numbers.ts.length) numbers = await fetchFrozen(this.frozen);
    } catch {
      // said in the page; the next poll or the button tries again
    }
    await this.held; // nothing moves under a hand that is dragging
    if (zoom !== this.zoom) return; // an answer to what is no longer asked
    this.trouble = numbers === null;
    this.numbers = numbers ?? this.numbers;
    await this.updateComplete;
    if (!numbers) return;
    if (this.plot && numbers.ts.length > 0) showNumbers(this.plot, numbers);
    else this.draw(); // uPlot would leave the old times under a plot that is emptied
  }

  /** Follow the width of the place; what could not be drawn while it was hidden is drawn now. */
  private fit(): void {
    if (!this.plot) this.draw();
    else if (this.clientWidth > 0) fitPlot(this.plot, this.place);
  }

  private get place(): HTMLElement {
    return this.renderRoot.querySelector<HTMLElement>(".plot") as HTMLElement;
  }

  /** Draw anew, in the colours of now; whatever else changes is shown in the plot that stands. */
  private draw = (): void => {
    if (!this.numbers || this.clientWidth === 0) return;
    this.plot?.destroy();
    const marks = { limit: this.limit, shades: this.shades.map(([from, to]) => ({ from, to })) };
    const [zoomed, pointed] = [(span: Span) => this.zoomTo(span), (at: number | null) => this.point(at)];
    this.plot = drawPlot(this, this.place, this.numbers, marks, this.zone, zoomed, pointed);
  };

  private hold(event: MouseEvent): void {
    if (event.button !== 0) return;
    this.held = new Promise((done) => {
      const ended = new AbortController();
      const release = (later: MouseEvent) => {
        if (later.buttons & 1) return; // still down
        ended.abort();
        this.held = null;
        done();
      };
      // On the window, so after uPlot, which hears the end of a drag on the document.
      window.addEventListener("mouseup", release, { signal: ended.signal });
      window.addEventListener("mousemove", release, { signal: ended.signal }); // it came up where nobody heard it
    });
  }

  private zoomTo(span: Span | null): void {
    this.zoom = span;
    void this.load();
  }

  private point(index: number | null): void {
    if (index === null || !this.numbers) return;
    this.cursor = index;
    const [ts, min, max] = [this.numbers.ts[index], this.numbers.min[index], this.numbers.max[index]];
    if (ts === undefined || min == null || max == null) return; // a break in the line
    const value = min === max ? this.number(max) : `${this.number(min)} – ${this.number(max)}`;
    this.reading = `${siteTime(ts, this.zone)}  ${value} ${this.unit}`;
  }

  private number(value: number): string {
    return Number(value.toPrecision(5)).toString();
  }

  private key(event: KeyboardEvent): void {
    const last = (this.numbers?.ts.length ?? 0) - 1;
    const arrows: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 };
    const step = { ...arrows, Home: -last, End: last }[event.key];
    if (step === undefined || !this.plot || last < 0) return;
    event.preventDefault();
    const index = Math.min(last, Math.max(0, this.cursor + step));
    const at = (this.numbers?.ts[index] ?? 0) / 1000;
    this.plot.setCursor({ left: this.plot.valToPos(at, "x"), top: 10 });
    this.point(index);
  }

  private summary(): string {
    const data = this.numbers;
    const found = data && extremes(data);
    if (!data || !found) return filled(_("{name}: no readings in this stretch"), { name: this.name });
    const values = {
      name: this.name,
      unit: this.unit,
      from: siteTime(data.ts[0] ?? 0, this.zone, "minute"),
      to: siteTime(data.ts.at(-1) ?? 0, this.zone, "minute"),
      low: this.number(found[0]),
      high: this.number(found[1]),
    };
    const text = filled(_("{name} from {from} to {to}: lowest {low}, highest {high} {unit}"), values);
    return this.limit === null ? text : `${text}; ${filled(_("limit {limit}"), { limit: this.number(this.limit) })}`;
  }

  private table() {
    if (!this.numbers) return "";
    const heads = [`${_("Time")} (${this.zone})`, _("Lowest"), _("Highest")];
    const rows = tableRows(this.numbers, TABLE_ROWS).map((row) => {
      const cells = [siteTime(row.ts, this.zone), this.number(row.min), this.number(row.max)];
      return html`<tr>${cells.map((text) => html`<td>${text}</td>`)}</tr>`;
    });
    return html`<details>
      <summary>${_("Show the numbers")}</summary>
      <div class="numbers" tabindex="0" role="group" aria-label=${`${this.name}: ${_("Show the numbers")}`}>
        <table>
          <caption>${this.summary()}</caption>
          <thead><tr>${heads.map((text) => html`<th scope="col">${text}</th>`)}</tr></thead>
          <tbody>${rows}</tbody>
        </table>
      </div>
    </details>`;
  }

  override render() {
    const again = html`<button type="button" @click=${() => this.load()}>${_("Try again")}</button>`;
    const whole = html`<button type="button" @click=${() => this.zoomTo(null)}>${_("Show the whole stretch")}</button>`;
    return html`
      <p class="head"><strong>${this.name}</strong>${this.unit ? html` <span>${this.unit}</span>` : ""}
        <output aria-live="polite">${this.reading}</output></p>
      <div class="plot" tabindex="0" role="img" aria-label=${this.summary()}
        @keydown=${this.key} @mousedown=${this.hold} @dblclick=${() => this.zoomTo(null)}></div>
      ${this.trouble
        ? html`<p class="trouble" role="status">${_("The readings could not be fetched.")} ${again}</p>`
        : ""}
      ${this.zoom ? html`<p>${whole}</p>` : ""}
      ${this.table()}`;
  }

  static override styles = [
    unsafeCSS(plotStyles),
    css`
      :host { display: block; min-height: 250px; }
      .head { margin: 0 0 4px; display: flex; flex-wrap: wrap; gap: 4px 8px; align-items: baseline; }
      .head span, output { color: var(--ink-soft); }
      output { margin-inline-start: auto; font-variant-numeric: tabular-nums; }
      .plot { min-height: 220px; overflow: hidden; }
      :is(.plot, button, summary, .numbers):focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
      .u-select { background: var(--plot-select); }
      .trouble { color: var(--bad); margin: 4px 0; }
      button { font: inherit; min-height: 44px; padding: 4px 12px; border: 1px solid var(--edge); border-radius: 4px;
        color: var(--ink); background: var(--raised); }
      summary { cursor: pointer; padding: 8px 0; color: var(--link); }
      .numbers { max-height: 260px; overflow: auto; }
      table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
      caption { text-align: start; color: var(--ink-soft); padding-bottom: 4px; }
      th, td { text-align: end; padding: 2px 12px 2px 0; border-bottom: 1px solid var(--rule); }
      th:first-child, td:first-child { text-align: start; }
    `,
  ];
}

customElements.define("ws-chart", Chart);
