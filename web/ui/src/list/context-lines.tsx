/** The lines around a record: of the same host, service or any field of it, with the filters of the query dropped or kept. */
import { useEffect, useState } from "preact/hooks";
import { fieldOf, valueText, type LogRecord } from "../api/log-record";
import { fetchContext, searchLogs } from "../api/logs";
import type { Zone } from "../app/preferences";
import { conjoin, hasStages } from "../query/query-edit";
import { quoted } from "../query/query-text";
import { isoOf } from "../time/range";
import { day } from "../time/span";
import { plainLine } from "./line-text";
import { LogRow } from "./log-row";

interface ContextLinesProps {
  readonly record: LogRecord;
  readonly zone: Zone;
  /** The query that led to the record; empty when there is none to keep. */
  readonly query: string;
}

interface Around {
  readonly lines: readonly LogRecord[];
  readonly problem: string;
}

const lineCounts = [10, 20, 50, 200];

export function ContextLines({ record, zone, query }: ContextLinesProps) {
  const offered = fieldsToShare(record);
  const [by, setBy] = useState<readonly string[]>(offered.filter((name) => name === "host" || name === "service"));
  const [lines, setLines] = useState(20);
  const [kept, setKept] = useState(false);
  const [around, setAround] = useState<Around | undefined>(undefined);
  const canKeep = query !== "" && !hasStages(query);
  useEffect(() => {
    const asking = new AbortController();
    const asked = kept ? filtered(record, query, by, lines, asking.signal) : plain(record, by, lines, asking.signal);
    void asked.then((found) => {
      if (!asking.signal.aborted) setAround(found);
    });
    return () => asking.abort();
  }, [record.id, by, lines, kept]);
  const toggle = (name: string): void =>
    setBy(by.includes(name) ? by.filter((other) => other !== name) : [...by, name]);
  const more = offered.filter((name) => name !== "host" && name !== "service" && !by.includes(name));
  return (
    <div class="context" role="group" aria-label="Lines around it">
      <div class="context-choices">
        <h3>Around it, of the same</h3>
        {[...new Set([...offered.filter((name) => name === "host" || name === "service"), ...by])].map((name) => (
          <button
            key={name}
            type="button"
            class="button button-small"
            aria-pressed={by.includes(name)}
            onClick={() => toggle(name)}
          >
            {plainLine(name)}
          </button>
        ))}
        {more.length > 0 && (
          <select
            class="select"
            aria-label="Another field that the lines share"
            value=""
            onChange={(event) => {
              if (event.currentTarget.value !== "") setBy([...by, event.currentTarget.value]);
            }}
          >
            <option value="">any field …</option>
            {more.map((name) => (
              <option key={name} value={name}>
                {plainLine(name)}
              </option>
            ))}
          </select>
        )}
        <select
          class="select"
          aria-label="Lines before and after"
          value={lines}
          onChange={(event) => setLines(Number(event.currentTarget.value))}
        >
          {lineCounts.map((number) => (
            <option key={number} value={number}>
              ±{number}
            </option>
          ))}
        </select>
        {canKeep && (
          <label>
            <input type="checkbox" checked={kept} onChange={(event) => setKept(event.currentTarget.checked)} /> keep the
            filters
          </label>
        )}
      </div>
      {around === undefined ? (
        <p class="muted">Fetching the lines around it …</p>
      ) : around.problem !== "" ? (
        <p class="bad-text" role="alert">
          {around.problem}
        </p>
      ) : null}
      <div class="context-lines" role="grid" aria-label="Lines around it" tabIndex={0}>
        {around?.lines.map((line, index) => (
          <LogRow
            key={line.id}
            record={line}
            index={index}
            columns={[]}
            zone={zone}
            withDate={false}
            wrap={false}
            terms={undefined}
            selected={line.id === record.id}
            onToggle={() => undefined}
          />
        ))}
      </div>
    </div>
  );
}

/** What records have in common: names and ids, no long texts. */
function fieldsToShare(record: LogRecord): readonly string[] {
  const fixed = ["host", "service", "level", "trace_id"];
  const names = [...fixed, ...Object.keys(record.attributes ?? {}).sort()];
  return names.filter((name) => {
    const value = fieldOf(record, name);
    return value !== undefined && value !== null && typeof value !== "object" && valueText(value).length <= 200;
  });
}

/** The filters dropped: whatever shares these fields. */
async function plain(
  record: LogRecord,
  by: readonly string[],
  lines: number,
  signal: AbortSignal,
): Promise<Around | undefined> {
  const answer = await fetchContext(record.id, lines, signal, by.length === 0 ? "none" : by.join(","));
  if (!answer.ok) return { lines: [record], problem: answer.failure.message };
  return { lines: [...answer.value.before, answer.value.record, ...answer.value.after], problem: "" };
}

/** The filters kept: two searches that go on from the record, one each way. */
async function filtered(
  record: LogRecord,
  query: string,
  by: readonly string[],
  lines: number,
  signal: AbortSignal,
): Promise<Around> {
  const q = by.reduce((whole, name) => conjoin(whole, `${name}:${quoted(valueText(fieldOf(record, name)))}`), query);
  const time = Date.parse(record.time);
  const range = { from: isoOf(time - day), to: isoOf(time + day) };
  let problem = "";
  const side = async (order: "newest" | "oldest"): Promise<readonly LogRecord[]> => {
    const found: LogRecord[] = [];
    const listener = { record: (one: LogRecord) => void found.push(one), progress: () => undefined };
    const answer = await searchLogs({ q, ...range, order, cursor: record.id, limit: lines }, listener, signal);
    if (!answer.ok) problem = answer.failure.message;
    return found;
  };
  const [before, after] = await Promise.all([side("newest"), side("oldest")]);
  return { lines: [...before.toReversed(), record, ...after], problem };
}
