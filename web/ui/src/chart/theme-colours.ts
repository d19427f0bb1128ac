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

/** The colour of a style sheet's variable, resolved for the theme in force. */
export function colourOf(variable: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const colour = getComputedStyle(probe).color;
  probe.remove();
  return colour;
}

/** The name of the colour of the n-th line. */
export function seriesVariable(index: number): string {
  return `--series-${(index % seriesColours) + 1}`;
}
