/**
 * Keys that work anywhere on a page: single letters when nothing is being typed, and two-letter journeys after `g`.
 * Pages add theirs while they are shown; the help lists whatever is bound.
 */
import { signal } from "@preact/signals";

export interface KeyBinding {
  /** As `KeyboardEvent.key` says it, `g` and a second key with a space between, or `Ctrl+` and a letter. */
  readonly keys: string;
  readonly does: string;
  /** The key whose other spelling this is; the help shows only that one. */
  readonly sameAs?: string;
  readonly run: (event: KeyboardEvent) => void;
}

/** How long after `g` the second letter may come. */
const journeyMs = 1500;

const groups = signal<readonly { readonly title: string; readonly bindings: readonly KeyBinding[] }[]>([]);
export const boundKeys = groups;

let journeyUntil = 0;

/** Binds keys until the returned function is called; later ones win over earlier ones. */
export function bindKeys(title: string, bindings: readonly KeyBinding[]): () => void {
  const group = { title, bindings };
  groups.value = [...groups.peek(), group];
  return () => {
    groups.value = groups.peek().filter((other) => other !== group);
  };
}

/** Listens; to be called once. */
export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.altKey) return;
    const withControl = event.ctrlKey || event.metaKey;
    // An open dialog has the keys to itself.
    if (document.querySelector("dialog[open]") !== null) return;
    if (event.key !== "Escape" && !withControl && isTyping(event.target)) return;
    if (event.key === "Enter" && isControl(event.target)) return;
    const onJourney = !withControl && performance.now() < journeyUntil;
    journeyUntil = 0;
    const wanted = withControl ? `Ctrl+${event.key.toLowerCase()}` : onJourney ? `g ${event.key}` : event.key;
    if (!onJourney && wanted === "g") {
      journeyUntil = performance.now() + journeyMs;
      return;
    }
    for (const { bindings } of groups.peek().toReversed()) {
      const binding = bindings.find(({ keys }) => keys === wanted);
      if (binding === undefined) continue;
      event.preventDefault();
      binding.run(event);
      return;
    }
  });
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** Enter on a button or a link is theirs. */
function isControl(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest("button, a, summary") !== null;
}
