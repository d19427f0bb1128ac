/** Which traces there are: the newest of the range, narrowed by service, duration and errors, each a link to its page. */
import { computed, effect, untracked } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fetchTraces, type TraceList as Found } from "../../api/traces";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { amend, parameter } from "../../app/location";
import { count } from "../../app/number-format";
import { pageStatus } from "../../app/page-status";
import { zone } from "../../app/preferences";
import { plainLine } from "../../list/line-text";
import { fullTime } from "../../time/format";
import { isoOf } from "../../time/range";
import { timeRange } from "../../time/range-state";
import { formatSpan } from "../../time/span";

const found = createRemote<Found>();
const service = computed(() => parameter("service"));
const longerThan = computed(() => parameter("min"));
const onlyErrors = computed(() => parameter("errors") !== "");
/** What a list offers to leave out. */
const durations = ["100ms", "500ms", "1s", "5s", "30s"];

export function TraceList() {
  useEffect(
    () =>
      effect(() => {
        const { from, to } = timeRange.value;
        const wanted = {
          from: isoOf(from),
          to: isoOf(to),
          service: service.value,
          min_duration: longerThan.value,
          ...(onlyErrors.value ? { error: "true" } : {}),
        };
        untracked(() => void found.load((signal) => fetchTraces(wanted, signal)));
      }),
    [],
  );
  const list = found.value.value;
  useEffect(() => {
    if (list === undefined) return;
    const { partial } = list.summary;
    pageStatus.value = {
      rows: `${count(list.traces.length)} of ${count(list.total)} traces`,
      ...(typeof partial === "string" ? { partial } : {}),
    };
  }, [list]);
  return (
    <section class="trace-list" aria-label="Traces">
      <form class="trace-filters" onSubmit={(event) => event.preventDefault()}>
        <input
          class="text-input"
          aria-label="Service"
          placeholder="Service"
          value={service.value}
          onChange={(event) => amend({ service: event.currentTarget.value.trim() || null })}
        />
        <select
          class="text-input"
          aria-label="Duration"
          value={longerThan.value}
          onChange={(event) => amend({ min: event.currentTarget.value || null })}
        >
          <option value="">any duration</option>
          {durations.map((span) => (
            <option key={span} value={span}>
              {span} or longer
            </option>
          ))}
        </select>
        <label>
          <input
            type="checkbox"
            checked={onlyErrors.value}
            onChange={(event) => amend({ errors: event.currentTarget.checked ? "1" : null })}
          />{" "}
          with errors
        </label>
      </form>
      {found.failure.value !== undefined ? (
        <p class="bad-text" role="alert">
          {found.failure.value.message}
        </p>
      ) : list === undefined ? null : list.traces.length === 0 ? (
        <p class="muted">No log line of this time carries a trace id that fits.</p>
      ) : (
        <table class="table">
          <thead>
            <tr>
              <th scope="col">Began</th>
              <th scope="col">Service</th>
              <th scope="col">First line</th>
              <th scope="col" class="number">
                Duration
              </th>
              <th scope="col" class="number">
                Services
              </th>
              <th scope="col" class="number">
                Records
              </th>
              <th scope="col" class="number">
                Errors
              </th>
            </tr>
          </thead>
          <tbody>
            {list.traces.map((trace) => (
              <tr key={trace.trace_id}>
                <td class="mono">{fullTime(Date.parse(trace.start), zone.value)}</td>
                <td>{trace.service}</td>
                <td class="trace-name">
                  <a href={hrefOf(`/trace/${trace.trace_id}`)} title={trace.trace_id}>
                    {plainLine(trace.name) || trace.trace_id}
                  </a>
                </td>
                <td class="number">{formatSpan(trace.duration_ms)}</td>
                <td class="number">{trace.services.length}</td>
                <td class="number">{count(trace.records)}</td>
                <td class={trace.errors > 0 ? "number bad-text" : "number"}>{count(trace.errors)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
