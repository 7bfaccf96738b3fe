// Live pages: one event stream per tab, closed while the tab is hidden.
//
// A part of a page says what it shows by data-live="ticket:D000001 prediction:7" (noun, and a key or * for any).
// When such a thing changes, the page is fetched anew and the part replaced by its like (same id). A part in which
// somebody has typed is never replaced under their hands: its notice says that there is something newer.
import htmx from "htmx.org";

interface Change {
  noun: string;
  code?: string;
  asset?: number;
}

const TIMEOUT_MS = 8000;
const SETTLE_MS = 400; // one command changes several rows: gather them into one refresh
const RETRY_MS = 5000;
let stream: EventSource | null = null;
let retry: number | undefined;
const waiting = new Set<string>();
let gathering: number | undefined;

function keysOf(change: Change): string[] {
  const keys = [`${change.noun}:*`];
  if (change.code !== undefined) keys.push(`${change.noun}:${change.code}`);
  if (change.asset !== undefined) keys.push(`asset:${change.asset}`);
  return keys;
}

/** Does a field hold something else than the server put there? Asked of the field itself, so no key is missed. */
function isTyped(field: Element): boolean {
  if (field instanceof HTMLSelectElement) {
    // The first option is selected when the server chose none.
    return field.selectedIndex !== Math.max(0, [...field.options].findIndex((one) => one.defaultSelected));
  }
  if (field instanceof HTMLTextAreaElement) return field.value !== field.defaultValue;
  if (!(field instanceof HTMLInputElement)) return false;
  if (field.type === "file") return (field.files?.length ?? 0) > 0;
  if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
  return field.value !== field.defaultValue;
}

/** A part is in use while somebody is in one of its fields, has typed, or sees a refused form (data-typed) again. */
function inUse(part: HTMLElement): boolean {
  if (part.querySelector("[data-typed]")) return true;
  const fields = [...part.querySelectorAll("input, select, textarea")];
  return fields.some((field) => field === document.activeElement || isTyped(field));
}

const FOCUSABLE = "a, button, summary, [tabindex]";

/** Put `fresh` in the place of `part`, with the same folds open and the focus where it was. */
function replacePart(part: HTMLElement, fresh: HTMLElement): void {
  const folds = [...part.querySelectorAll("details")].map((fold) => fold.open);
  fresh.querySelectorAll("details").forEach((fold, index) => (fold.open ||= folds[index] ?? false));
  const focused = [...part.querySelectorAll(FOCUSABLE)].indexOf(document.activeElement ?? part);
  part.replaceWith(fresh);
  htmx.process(fresh);
  if (focused >= 0) [...fresh.querySelectorAll<HTMLElement>(FOCUSABLE)][focused]?.focus({ preventScroll: true });
}

/** Fetch the page once and renew the parts that `concerned` names; those in use only say that they are old. */
async function renew(concerned: (part: HTMLElement) => boolean): Promise<void> {
  const parts = [...document.querySelectorAll<HTMLElement>("[data-live]")].filter(concerned);
  if (parts.length === 0) return;
  const address = document.body.dataset["here"] ?? location.href; // the page of a refused form lives elsewhere
  const answer = await fetch(address, { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return showConnection(false);
  showConnection(true);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of parts) {
    const fresh = page.getElementById(part.id);
    if (fresh === null) continue;
    if (inUse(part)) part.querySelector("[data-newer]")?.removeAttribute("hidden");
    else replacePart(part, document.importNode(fresh, true));
  }
}

function refresh(): void {
  const changed = new Set(waiting);
  waiting.clear();
  const concerned = (part: HTMLElement) => (part.dataset["live"] ?? "").split(" ").some((key) => changed.has(key));
  renew(concerned).catch(() => showConnection(false));
}

function refreshAll(): void {
  renew(() => true).catch(() => showConnection(false));
}

function heard(message: MessageEvent<string>): void {
  for (const key of keysOf(JSON.parse(message.data) as Change)) waiting.add(key);
  window.clearTimeout(gathering);
  gathering = window.setTimeout(refresh, SETTLE_MS);
}

function showConnection(connected: boolean): void {
  document.getElementById("connection")?.toggleAttribute("hidden", connected);
}

function open(): void {
  const address = document.body.dataset["stream"]; // absent for readers who may not listen
  if (address === undefined || stream !== null || document.hidden || !document.querySelector("[data-live]")) return;
  window.clearTimeout(retry);
  stream = new EventSource(address);
  for (const noun of ["ticket", "finding", "prediction"]) stream.addEventListener(noun, heard);
  stream.addEventListener("resync", refreshAll); // this tab fell behind and missed something
  stream.onopen = () => showConnection(true);
  stream.onerror = () => {
    // The browser retries a broken stream by itself, but gives up for good when the server answered with an error.
    showConnection(false);
    if (stream?.readyState === EventSource.CLOSED) {
      close();
      retry = window.setTimeout(open, RETRY_MS);
    }
  };
}

function close(): void {
  stream?.close();
  stream = null;
}

/** Start listening; call once. */
export function startLive(): void {
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      close();
      return;
    }
    refreshAll();
    open();
  });
  window.addEventListener("pagehide", close);
  open();
}
