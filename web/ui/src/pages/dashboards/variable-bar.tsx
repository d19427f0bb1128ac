/** The choices of a dashboard's variables: a list for each, several values where they may be, or a text. */
import { useEffect, useRef } from "preact/hooks";
import { amend } from "../../app/location";
import { DownIcon } from "../../app/icons";
import { choices } from "./board-state";
import { writtenChoice, type Choice } from "./variables";

export function VariableBar() {
  const shown = [...choices.value.values()].filter(({ variable }) => variable.hidden !== true);
  if (shown.length === 0) return null;
  return (
    <div class="variables" role="group" aria-label="Variables">
      {shown.map((choice) => (
        <VariableChoice key={choice.variable.name} choice={choice} />
      ))}
    </div>
  );
}

function set(choice: Choice, all: boolean, values: readonly string[]): void {
  amend({ [`var-${choice.variable.name}`]: writtenChoice(all, values) });
}

function VariableChoice({ choice }: { readonly choice: Choice }) {
  const { variable, options, values, all } = choice;
  const title = variable.title ?? variable.name;
  const isText = variable.label === undefined && variable.field === undefined && (variable.values ?? []).length === 0;
  if (isText)
    return (
      <label class="control">
        <span class="field-label">{title}</span>
        <input
          class="text-input"
          value={values[0] ?? ""}
          onChange={(event) =>
            set(
              choice,
              false,
              [event.currentTarget.value].filter((text) => text !== ""),
            )
          }
        />
      </label>
    );
  // What is chosen stays in the list, even where it has no series now.
  const offered = [...new Set([...options, ...values])];
  if (variable.multi !== true)
    return (
      <label class="control">
        <span class="field-label">{title}</span>
        <select
          class="select"
          value={all ? "*" : (values[0] ?? "")}
          onChange={(event) => {
            const chosen = event.currentTarget.value;
            set(choice, chosen === "*", [chosen]);
          }}
        >
          {variable.all === true && <option value="*">all</option>}
          {offered.map((value) => (
            <option key={value} value={value}>
              {value}
            </option>
          ))}
        </select>
      </label>
    );
  return <SeveralChoice choice={choice} title={title} offered={offered} />;
}

interface SeveralProps {
  readonly choice: Choice;
  readonly title: string;
  readonly offered: readonly string[];
}

/** A list to tick, folded until it is wanted. */
function SeveralChoice({ choice, title, offered }: SeveralProps) {
  const { variable, options, values, all } = choice;
  const details = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: PointerEvent): void => {
      const element = details.current;
      if (element !== null && event.target instanceof Node && !element.contains(event.target)) element.open = false;
    };
    document.addEventListener("pointerdown", close);
    return () => document.removeEventListener("pointerdown", close);
  }, []);
  return (
    <details
      class="multi-select"
      ref={details}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !event.currentTarget.open) return;
        event.stopPropagation();
        event.currentTarget.open = false;
        event.currentTarget.querySelector("summary")?.focus();
      }}
    >
      <summary class="select">
        <span class="field-label">{title}</span>
        <span class="multi-chosen">{all ? "all" : values.length === 0 ? "none" : values.join(", ")}</span>
        <DownIcon />
      </summary>
      <div class="multi-options" role="group" aria-label={title}>
        {variable.all === true && (
          <label>
            <input type="checkbox" checked={all} onChange={() => set(choice, !all, all ? options.slice(0, 1) : [])} />
            all
          </label>
        )}
        {offered.map((value) => {
          const isChosen = !all && values.includes(value);
          return (
            <label key={value}>
              <input
                type="checkbox"
                checked={isChosen}
                onChange={() => {
                  const next = isChosen
                    ? values.filter((other) => other !== value)
                    : all
                      ? [value]
                      : [...values, value];
                  set(choice, next.length === 0 && variable.all === true, next);
                }}
              />
              {value}
            </label>
          );
        })}
        {offered.length === 0 && <p class="muted">No values in this time range.</p>}
      </div>
    </details>
  );
}
