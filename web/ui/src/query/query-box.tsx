/**
 * The query box: a plain input with completion of fields and values, the history, and the place of an error underlined.
 * It knows how to ask for suggestions, not what they are.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Failure } from "../api/answer";
import { count as countText } from "../app/number-format";
import { CloseIcon, SearchIcon } from "../app/icons";
import type { Suggestion, Spot } from "./query-complete";
import { plainLine } from "../list/line-text";
import { queryHistory } from "./history";

/** Completion is fetched with the first letter typed. */
type Completion = typeof import("./query-complete");
let completion: Completion | undefined;
async function loadCompletion(): Promise<Completion> {
  completion ??= await import("./query-complete");
  return completion;
}

interface QueryBoxProps {
  readonly id: string;
  readonly label: string;
  readonly placeholder: string;
  /** The query as the address has it. */
  readonly value: string;
  readonly failure: Failure | undefined;
  readonly withHistory?: boolean;
  /** Takes a pasted text that is no query; tells whether it did. */
  readonly onPasteOther?: (text: string) => boolean;
  onSubmit(query: string): void;
  /** Suggestions for the place of the caret; an outdated question's answer is dropped. */
  suggest(spot: Spot, query: string, signal: AbortSignal): Promise<readonly Suggestion[]>;
}

interface Offer {
  readonly spot: Spot;
  readonly suggestions: readonly Suggestion[];
  readonly chosen: number;
}

export function QueryBox({
  id,
  label,
  placeholder,
  value,
  failure,
  withHistory = true,
  onPasteOther,
  onSubmit,
  suggest,
}: QueryBoxProps) {
  const [draft, setDraft] = useState(value);
  const [offer, setOffer] = useState<Offer | undefined>(undefined);
  const input = useRef<HTMLInputElement>(null);
  const mirror = useRef<HTMLDivElement>(null);
  const asking = useRef<AbortController | undefined>(undefined);

  useEffect(() => setDraft(value), [value]);
  useEffect(() => () => asking.current?.abort(), []);

  const close = (): void => {
    asking.current?.abort();
    setOffer(undefined);
  };
  const ask = async (text: string, caret: number): Promise<void> => {
    asking.current?.abort();
    const mine = new AbortController();
    asking.current = mine;
    const { spotAt } = await loadCompletion();
    if (mine.signal.aborted) return;
    const spot = spotAt(text, caret);
    const suggestions = await suggest(spot, text, mine.signal);
    if (mine.signal.aborted) return;
    setOffer(suggestions.length === 0 ? undefined : { spot, suggestions, chosen: -1 });
  };
  const showHistory = (): void => {
    const suggestions = queryHistory.value
      .filter((past) => past.includes(draft) && past !== draft)
      .slice(0, 12)
      .map((past): Suggestion => ({ label: past, insert: past, kind: "history" }));
    // What was asked before stands for the whole query.
    const spot: Spot = { kind: "field", field: "", prefix: draft, start: 0, end: draft.length };
    if (suggestions.length > 0) setOffer({ spot, suggestions, chosen: 0 });
  };
  const take = (suggestion: Suggestion, spot: Spot): void => {
    const applied = completion?.applySuggestion(draft, spot, suggestion) ?? {
      query: suggestion.insert,
      caret: suggestion.insert.length,
    };
    setDraft(applied.query);
    setOffer(undefined);
    input.current?.focus();
    requestAnimationFrame(() => input.current?.setSelectionRange(applied.caret, applied.caret));
    if (suggestion.kind === "field") void ask(applied.query, applied.caret);
  };
  const submit = (): void => {
    close();
    onSubmit(draft.trim());
  };

  const onKeyDown = (event: KeyboardEvent): void => {
    const move = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (offer !== undefined && move !== 0) {
      event.preventDefault();
      const length = offer.suggestions.length;
      setOffer({
        ...offer,
        chosen: (offer.chosen + move + length + (offer.chosen === -1 && move === -1 ? 1 : 0)) % length,
      });
    } else if (move === 1 && withHistory) {
      event.preventDefault();
      showHistory();
    } else if (event.key === "Enter") {
      event.preventDefault();
      const chosen = offer?.suggestions[offer.chosen];
      if (offer !== undefined && chosen !== undefined) take(chosen, offer.spot);
      else submit();
    } else if (event.key === "Tab" && offer !== undefined && !event.shiftKey) {
      const chosen = offer.suggestions[Math.max(0, offer.chosen)];
      if (chosen !== undefined) {
        event.preventDefault();
        take(chosen, offer.spot);
      }
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      if (offer !== undefined) close();
      else input.current?.blur();
    } else if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      void ask(draft, input.current?.selectionStart ?? draft.length);
    }
  };

  const listId = `${id}-suggestions`;
  const chosenId = offer !== undefined && offer.chosen >= 0 ? `${listId}-${offer.chosen}` : undefined;
  const errorColumn = failure?.column !== undefined && draft === value ? failure.column : undefined;
  return (
    <div class={failure === undefined ? "query" : "query query-failed"}>
      <span class="query-icon">
        <SearchIcon />
      </span>
      <div class="query-field">
        <div class="query-mirror" ref={mirror} aria-hidden="true">
          {errorColumn !== undefined && (
            <>
              {draft.slice(0, errorColumn - 1)}
              <span class="query-error-at">{draft.slice(errorColumn - 1, errorColumn) || " "}</span>
              {draft.slice(errorColumn)}
            </>
          )}
        </div>
        <input
          ref={input}
          id={id}
          class="query-input"
          type="text"
          role="combobox"
          aria-label={label}
          aria-expanded={offer !== undefined}
          aria-controls={listId}
          aria-autocomplete="list"
          aria-invalid={failure !== undefined}
          {...(failure === undefined ? {} : { "aria-describedby": `${id}-failure` })}
          {...(chosenId === undefined ? {} : { "aria-activedescendant": chosenId })}
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder={placeholder}
          value={draft}
          onInput={(event) => {
            const { value: text, selectionStart } = event.currentTarget;
            setDraft(text);
            void ask(text, selectionStart ?? text.length);
          }}
          onScroll={(event) => {
            if (mirror.current !== null) mirror.current.scrollLeft = event.currentTarget.scrollLeft;
          }}
          onPaste={(event) => {
            if (onPasteOther?.(event.clipboardData?.getData("text") ?? "") === true) event.preventDefault();
          }}
          onKeyDown={onKeyDown}
          onBlur={close}
        />
      </div>
      {draft !== "" && (
        <button
          type="button"
          class="icon-button query-clear"
          aria-label="Clear the query"
          onClick={() => {
            setDraft("");
            close();
            onSubmit("");
            input.current?.focus();
          }}
        >
          <CloseIcon />
        </button>
      )}
      <ul class="suggestions" id={listId} role="listbox" aria-label="Suggestions" hidden={offer === undefined}>
        {offer?.suggestions.map((suggestion, index) => (
          <li
            key={suggestion.label}
            id={`${listId}-${index}`}
            role="option"
            aria-selected={index === offer.chosen}
            class="suggestion"
            // The input must keep the focus, so the press is taken and not the click.
            onMouseDown={(event) => {
              event.preventDefault();
              take(suggestion, offer.spot);
            }}
          >
            <span class="suggestion-label">{plainLine(suggestion.label)}</span>
            <span class="muted">
              {suggestion.kind === "history"
                ? "history"
                : suggestion.count === undefined
                  ? ""
                  : countText(suggestion.count)}
            </span>
          </li>
        ))}
      </ul>
      {failure !== undefined && (
        <p class="query-message" id={`${id}-failure`} role="alert">
          {failure.message}
          {failure.column !== undefined && <span class="muted"> at column {failure.column}</span>}
        </p>
      )}
    </div>
  );
}
