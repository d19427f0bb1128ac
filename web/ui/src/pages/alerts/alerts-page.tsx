/** The Alerts page: all rules, all silences, or one alert with what explains it, as the address says. */
import { useEffect, useState } from "preact/hooks";
import "../../styles/alerts.css";
import { hrefOf } from "../../app/address";
import { bindKeys } from "../../app/key-bindings";
import { go, parameter, place } from "../../app/location";
import { setTitle } from "../../app/page-status";
import { share, TopBar } from "../../app/top-bar";
import { AlertView } from "./alert-view";
import { RuleList } from "./rule-list";
import { SilenceList } from "./silence-list";

const boxId = "rule-filter";

export function AlertsPage() {
  const [filter, setFilter] = useState("");
  const id = decodeURIComponent(place.value.path.split("/")[2] ?? "");
  const silences = parameter("view") === "silences" || parameter("silence") !== "";
  useEffect(
    () =>
      bindKeys("Alerts", [
        { keys: "/", does: "Filter the rules", run: () => document.getElementById(boxId)?.focus() },
        { keys: "r", does: "Show the rules", run: () => go("/alerts") },
        { keys: "s", does: "Show the silences", run: () => go(hrefOf("/alerts", { view: "silences" })) },
        { keys: "y", does: "Copy a link to this page", run: () => void share(false) },
      ]),
    [],
  );
  useEffect(() => {
    if (id === "") setTitle(silences ? "Silences" : "Alerts");
  }, [id, silences]);
  return (
    <>
      <TopBar title="Alerts">
        <nav class="alert-tabs" aria-label="Views of alerts">
          <a class="tab" href="/alerts" aria-current={id === "" && !silences ? "page" : undefined}>
            Rules
          </a>
          <a
            class="tab"
            href={hrefOf("/alerts", { view: "silences" })}
            aria-current={id === "" && silences ? "page" : undefined}
          >
            Silences
          </a>
          {id === "" && !silences && (
            <input
              id={boxId}
              class="text-input alerts-filter"
              type="search"
              aria-label="Filter the rules"
              placeholder="Filter by name, label or expression"
              value={filter}
              onInput={(event) => setFilter(event.currentTarget.value)}
              onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
            />
          )}
        </nav>
      </TopBar>
      <main class="page-scroll">
        {id !== "" ? (
          <AlertView key={id} id={id} at={parameter("at")} />
        ) : silences ? (
          <SilenceList proposed={parameter("silence")} />
        ) : (
          <RuleList filter={filter} />
        )}
      </main>
    </>
  );
}
