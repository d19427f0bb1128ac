/** The style sheet's colours as a canvas needs them, and a signal that changes when the theme does. */
import { computed, signal } from "@preact/signals";
import { theme } from "../app/preferences";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(dark.matches);
dark.addEventListener("change", () => {
  systemDark.value = dark.matches;
});

/** Changes with the colours in force. */
export const colourScheme = computed(() =>
  theme.value === "auto" ? (systemDark.value ? "dark" : "light") : theme.value,
);

/** How many series colours the style sheet has. */
const seriesColours = 8;

/** Colours that were resolved, and the scheme that they are for: each costs the browser a look at all styles. */
let resolved = new Map<string, string>();
let resolvedFor = "";

/** The colour of a style sheet's variable, resolved for the theme in force. */
export function colourOf(variable: string): string {
  const scheme = colourScheme.peek();
  if (scheme !== resolvedFor) {
    resolved = new Map();
    resolvedFor = scheme;
  }
  const known = resolved.get(variable) ?? resolve(variable);
  resolved.set(variable, known);
  return known;
}

/** A resolved colour, see-through. */
export function withAlpha(colour: string, alpha: number): string {
  return colour.replace(/^rgb\((.*)\)$/, (_, parts: string) =>
    parts.includes(",") ? `rgba(${parts}, ${alpha})` : `rgb(${parts} / ${alpha})`,
  );
}

function resolve(variable: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** The name of the colour of the n-th line, unless it has one of its own. */
export function lineVariable(line: { readonly colour?: string } | undefined, index: number): string {
  return line?.colour ?? seriesVariable(index);
}

/** The name of the colour of the n-th line. */
export function seriesVariable(index: number): string {
  return `--series-${(index % seriesColours) + 1}`;
}
