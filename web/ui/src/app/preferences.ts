/**
 * What a reader chose for this browser and no link should carry: theme, time zone, what is folded away. Kept in local
 * storage under `taffrail.`; where storage is switched off the choices last as long as the page.
 */
import { effect, signal, type Signal } from "@preact/signals";

export type Theme = "auto" | "light" | "dark";
export type Zone = "local" | "utc";

export const theme = preference<Theme>("theme", "auto", ["auto", "light", "dark"]);
export const zone = preference<Zone>("zone", "local", ["local", "utc"]);
export const histogramShown = preference<"yes" | "no">("histogram", "yes", ["yes", "no"]);
export const density = preference<"compact" | "comfortable">("density", "compact", ["compact", "comfortable"]);
/** A phone has no room for the facets until they are asked for, and remembers that by itself. */
const isNarrow = window.matchMedia("(max-width: 700px)").matches;
export const facetsShown = isNarrow
  ? preference<"yes" | "no">("facets-narrow", "no", ["yes", "no"])
  : preference<"yes" | "no">("facets", "yes", ["yes", "no"]);

effect(() => {
  const chosen = theme.value;
  if (chosen === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = chosen;
});

/** A list of texts that is remembered, newest first. */
export function rememberedList(
  name: string,
  lengthMax: number,
): { values: Signal<readonly string[]>; add(text: string): void; set(texts: readonly string[]): void } {
  const values = signal<readonly string[]>(readList(name));
  const set = (texts: readonly string[]): void => {
    values.value = texts.slice(0, lengthMax);
    write(name, JSON.stringify(values.value));
  };
  return { values, set, add: (text) => set([text, ...values.peek().filter((other) => other !== text)]) };
}

/** A choice among a few words that is remembered. */
function preference<Choice extends string>(name: string, fallback: Choice, choices: readonly Choice[]): Signal<Choice> {
  const stored = read(name) as Choice | null;
  const chosen = signal<Choice>(stored !== null && choices.includes(stored) ? stored : fallback);
  effect(() => write(name, chosen.value));
  return chosen;
}

function readList(name: string): readonly string[] {
  try {
    const stored: unknown = JSON.parse(read(name) ?? "[]");
    return Array.isArray(stored) ? stored.filter((text): text is string => typeof text === "string") : [];
  } catch {
    return [];
  }
}

function read(name: string): string | null {
  try {
    return localStorage.getItem(`taffrail.${name}`);
  } catch {
    return null;
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(`taffrail.${name}`, value);
  } catch {
    // Private windows and full disks refuse; the choice then lasts as long as the page.
  }
}
