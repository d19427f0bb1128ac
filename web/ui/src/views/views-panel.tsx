/** The saved views in a panel below their button: open one, save this one, replace, forget. */
import { useEffect, useState } from "preact/hooks";
import "../styles/panel.css";
import { CloseIcon } from "../app/icons";
import { go } from "../app/location";
import { forgetView, loadViews, savedViews, saveThisView, shownView, viewsFailure } from "./saved-views";

export function ViewsPanel({ close }: { readonly close: () => void }) {
  const [name, setName] = useState(shownView()?.name ?? "");
  useEffect(() => void loadViews(), []);
  const views = savedViews.value?.views ?? [];
  const shown = shownView();
  const replaces = views.some((view) => view.name === name.trim());
  return (
    <div class="panel" role="dialog" aria-label="Saved views">
      {viewsFailure.value !== undefined && <p class="bad-text">{viewsFailure.value.message}</p>}
      {savedViews.value !== undefined && views.length === 0 && (
        <p class="muted">A view is everything that the address holds: query, time, columns. None is saved yet.</p>
      )}
      <ul class="panel-list">
        {views.map((view) => (
          <li key={view.name} class="panel-row">
            <button
              type="button"
              class="panel-main"
              aria-current={view === shown ? "true" : undefined}
              title={view.address}
              onClick={() => {
                go(view.address);
                close();
              }}
            >
              {view.name}
              <span class="muted mono">{view.address}</span>
            </button>
            <button
              type="button"
              class="icon-button"
              aria-label={`Forget the view ${view.name}`}
              title="Forget"
              onClick={() => void forgetView(view)}
            >
              <CloseIcon />
            </button>
          </li>
        ))}
      </ul>
      <form
        class="panel-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (name.trim() === "") return;
          void saveThisView(name.trim()).then((saved) => {
            if (saved) close();
          });
        }}
      >
        <input
          class="text-input"
          aria-label="Name of this view"
          placeholder="Name of this view"
          maxLength={100}
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <button type="submit" class="button button-main">
          {replaces ? "Replace" : "Save"}
        </button>
      </form>
    </div>
  );
}
