// The page's language. The server puts the words that scripts need on <body data-words>, from the one catalogue.

const words: Record<string, string> = JSON.parse(document.body.dataset["words"] ?? "{}");

/** Translate an English message; an unknown one stays English. Named `_` so that babel extracts it. */
export function _(message: string): string {
  return words[message] ?? message;
}

/** Replace {name} in a message by values. */
export function filled(message: string, values: Record<string, string | number>): string {
  return message.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The page's language tag, "en" or "zh-CN". */
export const language = document.documentElement.lang || "en";
