/** The palette (Ctrl-K): whatever is typed or pasted, every page, saved view and dashboard, every key's action, the last queries. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import "../styles/palette.css";
import { fetchDashboards, type Listing } from "../api/dashboards";
import { createRemote } from "../api/remote";
import { queryHistory } from "../query/history";
import { land } from "../query/landing";
import { loadViews, savedViews } from "../views/saved-views";
import { hrefOf } from "./address";
import { boundKeys } from "./key-bindings";
import { go } from "./location";
import { paletteShown } from "./overlays";
import { pages } from "./pages";
import { theme, zone } from "./preferences";

interface Offer {
  readonly id: string;
  readonly kind: string;
  readonly label: string;
  readonly hint: string;
  run(): void;
}

const shownMax = 14;
const boards = createRemote<Listing>();

export function Palette() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  useEffect(() => {
    dialog.current?.showModal();
    void loadViews();
    void boards.load(fetchDashboards);
  }, []);
  const all = useMemo(
    () => everything(savedViews.value?.views ?? [], boards.value.value?.dashboards ?? []),
    [savedViews.value, boards.value.value],
  );
  const offers = offersFor(text, all);
  const at = Math.min(chosen, offers.length - 1);
  const take = (offer: Offer | undefined): void => {
    if (offer === undefined) return;
    dialog.current?.close();
    offer.run();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const move = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (move !== 0 && offers.length > 0) {
      event.preventDefault();
      setChosen((at + move + offers.length) % offers.length);
    } else if (event.key === "Enter") {
      event.preventDefault();
      take(offers[at]);
    }
  };
  return (
    <dialog ref={dialog} class="dialog palette" aria-label="Palette" onClose={() => (paletteShown.value = false)}>
      <input
        class="palette-input"
        role="combobox"
        aria-label="Search, paste, or name what to do"
        aria-expanded={offers.length > 0}
        aria-controls="palette-offers"
        aria-autocomplete="list"
        {...(offers[at] === undefined ? {} : { "aria-activedescendant": `palette-${at}` })}
        placeholder="A page, an action, a query; or paste a line, a stack trace, a trace id, a time, a Kibana or Grafana address"
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setChosen(0);
        }}
        onPaste={(event) => {
          // A field of one line would lose the ends of lines.
          const pasted = event.clipboardData?.getData("text") ?? "";
          if (!pasted.includes("\n")) return;
          event.preventDefault();
          take(meantBy(pasted));
        }}
        onKeyDown={onKeyDown}
      />
      <ul class="palette-offers" id="palette-offers" role="listbox" aria-label="What there is">
        {offers.map((offer, index) => (
          <li
            key={offer.id}
            id={`palette-${index}`}
            class="suggestion"
            role="option"
            aria-selected={index === at}
            onClick={() => take(offer)}
          >
            <span class="palette-kind">{offer.kind}</span>
            <span class="suggestion-label">{offer.label}</span>
            <span class="muted">{offer.hint}</span>
          </li>
        ))}
      </ul>
    </dialog>
  );
}

function everything(
  views: readonly { readonly name: string; readonly address: string }[],
  dashboards: readonly { readonly slug: string; readonly title: string }[],
): readonly Offer[] {
  const actions = boundKeys.peek().flatMap(({ title, bindings }) =>
    bindings
      .filter(({ keys, sameAs }) => sameAs === undefined && !/^(g .|Escape|Enter|Ctrl\+k)$/.test(keys))
      .map(({ keys, does, run }): Offer => ({
        id: `action ${title} ${keys}`,
        kind: title,
        label: does,
        hint: keys,
        // The dialog has to be gone first: actions look at what has the focus.
        run: () => void setTimeout(() => run(new KeyboardEvent("keydown")), 0),
      })),
  );
  const choices: readonly Offer[] = [
    ...(["light", "dark", "auto"] as const).map((name) => ({
      id: `theme ${name}`,
      kind: "Theme",
      label: `Theme: ${name}`,
      hint: theme.value === name ? "now" : "",
      run: () => void (theme.value = name),
    })),
    ...(["local", "utc"] as const).map((name) => ({
      id: `zone ${name}`,
      kind: "Time",
      label: `Times in ${name === "utc" ? "UTC" : "local time"}`,
      hint: zone.value === name ? "now" : "",
      run: () => void (zone.value = name),
    })),
  ];
  return [
    ...pages.map(({ label, key, path, start }): Offer => ({
      id: `page ${path}`,
      kind: "Page",
      label,
      hint: `g ${key}`,
      run: () => go(start ?? path),
    })),
    ...views.map(({ name, address }): Offer => ({
      id: `view ${name}`,
      kind: "View",
      label: name,
      hint: "",
      run: () => go(address),
    })),
    ...dashboards.map(({ slug, title }): Offer => ({
      id: `board ${slug}`,
      kind: "Board",
      label: title,
      hint: "",
      run: () => go(`/d/${encodeURIComponent(slug)}`),
    })),
    ...actions,
    ...choices,
    ...queryHistory.value.slice(0, 20).map((query): Offer => ({
      id: `query ${query}`,
      kind: "Query",
      label: query,
      hint: "searched before",
      run: () => go(hrefOf("/logs", { q: query })),
    })),
  ];
}

/** What fits all words, names that begin so first; then what the text itself may mean. */
function offersFor(text: string, all: readonly Offer[]): readonly Offer[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return all.slice(0, shownMax);
  const first = words[0] ?? "";
  const fitting = all
    .filter(({ label, kind }) => words.every((word) => `${kind} ${label}`.toLowerCase().includes(word)))
    .sort((a, b) => Number(b.label.toLowerCase().startsWith(first)) - Number(a.label.toLowerCase().startsWith(first)))
    .slice(0, shownMax - 1);
  const meant = meantBy(text);
  // Text of a line or an address is not the name of anything.
  return /[\n:/={]|.{40}/.test(text) ? [meant, ...fitting] : [...fitting, meant];
}

/** What a text means by itself. */
function meantBy(text: string): Offer {
  return {
    id: "text",
    kind: "Go",
    label: text.trim(),
    hint: "as it reads",
    run: () => void land(text),
  };
}
