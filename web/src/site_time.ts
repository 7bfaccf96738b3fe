// Times on charts and in their tables are the site's, whatever zone the browser is in.

/** Write a time (ms since 1970) in a time zone: 2026-11-21 14:05:09. */
export function siteTime(ms: number, zone: string, parts: "date" | "minute" | "second" = "second"): string {
  // Swedish writes ISO 8601 order with a space, in every browser.
  const options: Intl.DateTimeFormatOptions = { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" };
  if (parts !== "date") Object.assign(options, { hour: "2-digit", minute: "2-digit" });
  if (parts === "second") options.second = "2-digit";
  return new Intl.DateTimeFormat("sv-SE", options).format(ms);
}
