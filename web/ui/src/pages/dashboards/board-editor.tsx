/** The text of the dashboard beside its view: checked as it is typed, stored with a check that nobody else changed it. */
import { useEffect } from "preact/hooks";
import { go } from "../../app/location";
import * as state from "./board-state";
import { homeOf } from "./dashboard-list";
import { slugOf } from "./slug";
import { YamlEditor } from "./yaml-editor";

export function BoardEditor() {
  const stored = state.stored.value.value;
  const isNew = state.isNew.value;
  const text = state.draft.value ?? (isNew ? "" : (stored?.yaml ?? ""));
  const isFile = !isNew && stored?.origin === "file";
  const isChanged = state.draft.value !== undefined && (isNew || state.draft.value !== stored?.yaml);
  const problems = state.problems.value;
  const failure = state.saveFailure.value;
  const title = state.dashboard.value?.title;
  useEffect(() => {
    if (!isChanged) return undefined;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, [isChanged]);
  const name = state.newSlug.value === "" ? slugOf(title ?? "") : state.newSlug.value;
  const save = (): void => {
    if (!isChanged || problems.length > 0 || state.saving.peek()) return;
    if (isNew || isFile) void state.save(name, undefined);
    else if (stored !== undefined) void state.save(stored.slug, stored.version);
  };
  return (
    <aside class="board-editor" aria-label="Text of the dashboard">
      <div class="editor-head">
        {isNew || isFile ? (
          <label class="control editor-name">
            <span class="field-label">{isFile ? "save as /d/" : "/d/"}</span>
            <input
              class="text-input mono"
              aria-label="Name in the address"
              value={name}
              onInput={(event) => (state.newSlug.value = event.currentTarget.value)}
            />
          </label>
        ) : (
          <span class="muted editor-home">{stored === undefined ? "" : homeOf(stored)}</span>
        )}
        <span class="panel-space" />
        {!isNew && stored?.origin === "catalog" && (
          <button
            type="button"
            class="button button-small"
            onClick={() => {
              const what = stored.covers_built_in ? "Go back to the built-in dashboard" : "Remove this dashboard";
              if (!window.confirm(`${what}? What was written here is gone then.`)) return;
              void state.remove(stored.slug, stored.version).then((isDone) => {
                if (!isDone) return;
                state.dropDraft();
                if (stored.covers_built_in) void state.loadDashboard(stored.slug);
                else go("/d");
              });
            }}
          >
            {stored.covers_built_in ? "Reset" : "Remove"}
          </button>
        )}
        {isChanged && !isNew && (
          <button type="button" class="button button-small" onClick={() => state.dropDraft()}>
            Discard
          </button>
        )}
        <button
          type="button"
          class="button button-small button-main"
          disabled={!isChanged || problems.length > 0 || state.saving.value}
          title="Save (Ctrl-S)"
          onClick={save}
        >
          {state.saving.value ? "Saving" : "Save"}
        </button>
      </div>
      {isFile && (
        <p class="editor-note">
          This dashboard lives in <span class="mono">{stored?.path}</span>: change it there, or save it here under
          another name.
        </p>
      )}
      {failure !== undefined && (
        <div class="editor-failure" role="alert">
          <p>{failure.message}</p>
          {(failure.status === 412 || failure.status === 428) && !isNew && (
            <button type="button" class="button button-small" onClick={() => void state.takeVersion()}>
              Keep my text, and replace theirs with the next save
            </button>
          )}
        </div>
      )}
      {state.notMapped.value.length > 0 && (
        <details class="editor-note" open>
          <summary>{state.notMapped.value.length} things of Grafana could not be mapped</summary>
          <ul class="not-mapped">
            {state.notMapped.value.map(({ place, what }) => (
              <li key={`${place} ${what}`}>
                <strong>{place}</strong>: {what}
              </li>
            ))}
          </ul>
        </details>
      )}
      <YamlEditor text={text} problems={problems} readOnly={false} onInput={state.write} onSave={save} />
    </aside>
  );
}
