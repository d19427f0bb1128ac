/** The dashboards there are, where each lives, and the ways to a new one: an empty page, or what Grafana exports. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { importGrafana, type ListedDashboard } from "../../api/dashboards";
import { bindKeys } from "../../app/key-bindings";
import { go } from "../../app/location";
import { pageStatus, setTitle } from "../../app/page-status";
import { toast } from "../../app/toast";
import { TopBar } from "../../app/top-bar";
import * as state from "./board-state";
import { slugOf } from "./slug";

const empty = `title: New dashboard
rows:
- title: First row
  panels:
  - title: Log lines by level
    draw: bars
    queries:
    - logs: '*'
      by: level
`;

export function DashboardList() {
  const search = useSignal("");
  const file = useRef<HTMLInputElement>(null);
  useEffect(() => {
    setTitle("Dashboards");
    state.dropDraft();
    void state.loadList();
    return bindKeys("Dashboards", [
      { keys: "/", does: "Search a dashboard", run: () => document.getElementById("dashboard-search")?.focus() },
      { keys: "n", does: "New dashboard", run: () => begin(empty, "") },
    ]);
  }, []);
  const listing = state.list.value.value;
  const failure = state.list.failure.value;
  useEffect(() => {
    pageStatus.value = listing === undefined ? {} : { rows: `${listing.dashboards.length} dashboards` };
  }, [listing]);
  const wanted = search.value.toLowerCase();
  const found = (listing?.dashboards ?? []).filter(({ title, slug, tags, description }) =>
    [title, slug, description ?? "", ...tags].some((text) => text.toLowerCase().includes(wanted)),
  );
  return (
    <>
      <TopBar
        title="Dashboards"
        actions={
          <>
            <button type="button" class="button board-import" onClick={() => file.current?.click()}>
              Import
            </button>
            <button type="button" class="button button-main" onClick={() => begin(empty, "")}>
              New dashboard
            </button>
          </>
        }
      />
      <main class="dashboards">
        <input
          ref={file}
          class="visually-hidden"
          type="file"
          tabIndex={-1}
          aria-label="A dashboard's YAML, or JSON exported from Grafana"
          accept=".json,.yaml,.yml"
          onChange={(event) => {
            const [chosen] = event.currentTarget.files ?? [];
            if (chosen !== undefined) void take(chosen);
            event.currentTarget.value = "";
          }}
        />
        <div class="dashboards-head">
          <input
            id="dashboard-search"
            class="text-input"
            type="search"
            aria-label="Search dashboards"
            placeholder="Search title, tag"
            value={search.value}
            onInput={(event) => (search.value = event.currentTarget.value)}
            onKeyDown={(event) => {
              const [first] = found;
              if (event.key === "Enter" && first !== undefined) go(`/d/${first.slug}`);
              if (event.key === "Escape") event.currentTarget.blur();
            }}
          />
        </div>
        {failure !== undefined && <p class="warning-text">{failure.message}</p>}
        {(listing?.problems ?? []).length > 0 && (
          <ul class="dashboards-problems" aria-label="What is wrong with files">
            {listing?.problems.map(({ file, line, column, message }) => (
              <li key={`${file}:${line}:${message}`}>
                <span class="mono">
                  {file}
                  {line > 0 && `:${line}:${column}`}
                </span>{" "}
                {message}
              </li>
            ))}
          </ul>
        )}
        <div class="table-frame">
          <table class="table dashboards-table">
            <thead>
              <tr>
                <th scope="col">Dashboard</th>
                <th scope="col">About</th>
                <th scope="col" class="number">
                  Panels
                </th>
                <th scope="col">Lives in</th>
              </tr>
            </thead>
            <tbody>
              {found.map((one) => (
                <tr key={one.slug}>
                  <td>
                    <a class="dashboards-title" href={`/d/${one.slug}`}>
                      {one.title}
                    </a>
                    {one.problems.length > 0 && <span class="warning-text"> has mistakes</span>}
                  </td>
                  <td class="muted">
                    {one.description}
                    {one.tags.map((tag) => (
                      <span key={tag} class="tag">
                        {tag}
                      </span>
                    ))}
                  </td>
                  <td class="number">{one.panels}</td>
                  <td class="muted">{homeOf(one)}</td>
                </tr>
              ))}
            </tbody>
          </table>
          {listing !== undefined && found.length === 0 && (
            <p class="muted">No dashboard has this in its title or tags.</p>
          )}
        </div>
      </main>
    </>
  );
}

/** Where a dashboard lives, in words. */
export function homeOf({ origin, path, covers_built_in }: ListedDashboard): string {
  if (origin === "file") return path ?? "a file";
  if (origin === "built_in") return "built in";
  return covers_built_in ? "this server, changed from the built-in one" : "this server";
}

/** Opens the editor with a text that is not stored. */
export function begin(text: string, slug: string): void {
  state.dropDraft();
  state.stored.stop(true);
  state.newSlug.value = slug;
  state.write(text, 0);
  go("/d?new=1");
}

async function take(file: File): Promise<void> {
  const text = await file.text();
  if (!text.trimStart().startsWith("{")) {
    begin(text, slugOf(file.name.replace(/\.\w+$/, "")));
    return;
  }
  const answer = await importGrafana(text);
  if (!answer.ok) {
    toast(answer.failure.message);
    return;
  }
  begin(answer.value.yaml, answer.value.slug);
  state.notMapped.value = answer.value.not_mapped;
}
