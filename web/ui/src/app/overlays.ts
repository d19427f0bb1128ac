/** What may lie over a page, by whether it is shown; the code of each comes when it first is. */
import { signal } from "@preact/signals";

export const keyHelpShown = signal(false);
export const paletteShown = signal(false);
