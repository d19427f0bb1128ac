/** Home: one box for whatever somebody has in hand, what is arriving, what fires, and how to send more. */
import { useEffect, useRef, useState } from "preact/hooks";
import "../../styles/home.css";
import { SearchIcon } from "../../app/icons";
import { ingestFailure, ingestReport } from "../../app/ingest-watch";
import { bindKeys } from "../../app/key-bindings";
import { setTitle } from "../../app/page-status";
import { land } from "../../query/landing";
import { FiringPanel } from "./firing-panel";
import { SenderPanel } from "./sender-panel";
import { SourceTable } from "./source-table";
import { RatePanel, StorePanel } from "./store-panel";

export function HomePage() {
  const box = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  useEffect(() => setTitle(""), []);
  useEffect(() => bindKeys("Home", [{ keys: "/", does: "Search or paste", run: () => box.current?.focus() }]), []);
  const report = ingestReport.value;
  const submit = (event: Event): void => {
    event.preventDefault();
    void land(text);
  };
  return (
    <main class="page-scroll home">
      <h1 class="visually-hidden">Taffrail</h1>
      <form class="home-search" onSubmit={submit}>
        <SearchIcon />
        <input
          ref={box}
          class="home-input"
          aria-label="Search the logs, or paste anything"
          placeholder="Search, or paste a line, a trace id, a time, a Kibana or Grafana address"
          autocomplete="off"
          spellcheck={false}
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
          onPaste={(event) => {
            // A field of one line would lose the ends of lines.
            const pasted = event.clipboardData?.getData("text") ?? "";
            if (!pasted.includes("\n")) return;
            event.preventDefault();
            void land(pasted);
          }}
        />
        <button type="submit" class="button button-main">
          Search
        </button>
      </form>
      {report === undefined ? (
        <p class="muted">{ingestFailure.value?.message ?? "Asking what is arriving …"}</p>
      ) : (
        <div class="home-grid">
          <RatePanel />
          <SourceTable report={report} />
          <div class="home-column">
            <FiringPanel />
            <StorePanel report={report} />
          </div>
          <SenderPanel listeners={report.listeners} />
        </div>
      )}
    </main>
  );
}
