/** All silences: those at work first, each with its end, its author and its reason. */
import { useEffect, useState } from "preact/hooks";
import { expireSilence, fetchSilences, type Silence } from "../../api/alerts";
import { createRemote } from "../../api/remote";
import { hrefOf } from "../../app/address";
import { go } from "../../app/location";
import { count } from "../../app/number-format";
import { pageStatus } from "../../app/page-status";
import { toast } from "../../app/toast";
import { serverNow } from "../../time/clock";
import { ago, everyZone } from "../../time/format";
import { formatSpan, hour } from "../../time/span";
import { writeMatcher } from "./matchers";
import { SilenceForm } from "./silence-form";

const intervalMs = 10_000;
const silences = createRemote<Silence[]>();

export function SilenceList({ proposed }: { readonly proposed: string }) {
  const [adding, setAdding] = useState(proposed !== "");
  const [ended, setEnded] = useState(false);
  const ask = (): void => void silences.load(fetchSilences);
  useEffect(() => {
    ask();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") ask();
    }, intervalMs);
    return () => {
      clearInterval(timer);
      silences.stop();
    };
  }, []);
  const all = silences.value.value;
  const shown = (all ?? []).filter(({ status }) => ended || status.state !== "expired");
  const atWork = (all ?? []).filter(({ status }) => status.state === "active").length;
  useEffect(() => {
    if (all !== undefined) pageStatus.value = { rows: `${count(atWork)} silences at work` };
  }, [all, atWork]);

  function done(): void {
    setAdding(false);
    ask();
    if (proposed !== "") go(hrefOf("/alerts", { view: "silences" }), "replace");
  }

  async function end(silence: Silence): Promise<void> {
    const answer = await expireSilence(silence.id);
    toast(answer.ok ? "The silence is over" : answer.failure.message);
    ask();
  }

  return (
    <div class="silences">
      <div class="silence-tools">
        {!adding && (
          <button type="button" class="button button-main" onClick={() => setAdding(true)}>
            New silence
          </button>
        )}
        <label class="control">
          <input type="checkbox" checked={ended} onChange={(event) => setEnded(event.currentTarget.checked)} />
          ended ones too
        </label>
      </div>
      {adding && <SilenceForm key={proposed} matchers={proposed} onDone={done} />}
      {silences.failure.value !== undefined && <p class="warning-text">{silences.failure.value.message}</p>}
      {all !== undefined && shown.length === 0 && !adding && (
        <div class="nothing">
          <h2>Nothing is silenced</h2>
          <p class="muted">
            A silence keeps people from being told of some alerts for a while. It has an end, an author and a reason,
            and says in the log when its end is near.
          </p>
        </div>
      )}
      {shown.length > 0 && (
        <div class="table-frame" tabIndex={0} role="region" aria-label="Silences">
          <table class="table silence-table">
            <thead>
              <tr>
                <th scope="col">state</th>
                <th scope="col">alerts with</th>
                <th scope="col">ends</th>
                <th scope="col">author</th>
                <th scope="col">reason</th>
                <th scope="col">
                  <span class="visually-hidden">end it</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map((silence) => (
                <SilenceLine key={silence.id} silence={silence} onEnd={() => void end(silence)} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function SilenceLine({ silence, onEnd }: { readonly silence: Silence; onEnd(): void }) {
  const now = serverNow();
  const left = Date.parse(silence.endsAt) - now;
  const isOver = silence.status.state === "expired";
  return (
    <tr class={isOver ? "silence-over" : ""}>
      <td>
        <span class={`state ${silence.status.state === "active" ? "state-active" : "state-inactive"}`}>
          {silence.status.state}
        </span>
      </td>
      <td>
        <span class="labels silence-matchers">
          {silence.matchers.map((matcher) => (
            <span key={writeMatcher(matcher)} class="label">
              {writeMatcher(matcher)}
            </span>
          ))}
        </span>
      </td>
      <td
        class={!isOver && left < hour ? "warning-text silence-ends" : "silence-ends"}
        title={everyZone(silence.endsAt)}
      >
        {isOver ? ago(Date.parse(silence.endsAt), now) : `in ${formatSpan(Math.max(1000, left))}`}
      </td>
      <td>{silence.createdBy}</td>
      <td class="silence-reason">{silence.comment}</td>
      <td>
        {isOver ? (
          <a href={hrefOf("/alerts", { silence: silence.matchers.map(writeMatcher).join(", ") })}>Again</a>
        ) : (
          <button type="button" class="button button-small" onClick={onEnd}>
            End now
          </button>
        )}
      </td>
    </tr>
  );
}
