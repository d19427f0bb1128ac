/** Who is told of alerts: receivers with their channels, what became of what they were told, and a test for each. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { fetchReceivers, testReceiver, type Receiver, type Receivers, type Tested } from "../../api/receivers";
import { createRemote } from "../../api/remote";
import { count } from "../../app/number-format";

const receivers = createRemote<Receivers>();

export function Notifiers() {
  useEffect(() => void receivers.load(fetchReceivers), []);
  const told = receivers.value.value;
  const failure = receivers.failure.value;
  return (
    <section class="settings-card" aria-label="Notifiers">
      <h2>Notifiers</h2>
      {failure !== undefined && <p class="warning-text">{failure.message}</p>}
      {told?.problem !== null && told?.problem !== undefined && <p class="warning-text">{told.problem}</p>}
      {(told?.remarks ?? []).map((remark) => (
        <p key={remark} class="muted">
          {remark}
        </p>
      ))}
      {told?.receivers.length === 0 && (
        <p class="muted">
          Nobody is told of alerts: <code>alerts.webhooks</code> or <code>alerts.routing</code> names receivers.
        </p>
      )}
      <ul class="notifiers">
        {(told?.receivers ?? []).map((receiver) => (
          <Notifier key={receiver.name} receiver={receiver} />
        ))}
      </ul>
    </section>
  );
}

function Notifier({ receiver }: { readonly receiver: Receiver }) {
  const running = useSignal(false);
  const results = useSignal<readonly Tested[]>([]);
  const failure = useSignal("");
  const test = async (): Promise<void> => {
    running.value = true;
    const answer = await testReceiver(receiver.name);
    running.value = false;
    results.value = answer.ok ? answer.value.channels : [];
    failure.value = answer.ok ? "" : answer.failure.message;
  };
  return (
    <li class="notifier">
      <div class="notifier-head">
        <strong>{receiver.name}</strong>
        <span class="settings-space" />
        <button
          type="button"
          class="button button-small"
          disabled={running.value || receiver.channels.length === 0}
          onClick={() => void test()}
        >
          {running.value ? "Sending" : "Send test"}
        </button>
      </div>
      {receiver.channels.length === 0 && <p class="muted">It has no channel: what goes here is told to nobody.</p>}
      {receiver.channels.map(({ name, target, delivered, retrying, refused }) => (
        <p key={`${name} ${target}`} class="notifier-channel">
          <span class="mono">{target}</span>
          <span class="muted">
            {" "}
            {name}, {count(delivered)} delivered
            {retrying > 0 && `, ${count(retrying)} to be tried again`}
          </span>
          {refused > 0 && <span class="bad-text">, {count(refused)} refused</span>}
        </p>
      ))}
      <div role="status">
        {failure.value !== "" && <p class="bad-text">{failure.value}</p>}
        {results.value.map(({ channel, target, delivered, error, duration_ms }) => (
          <p key={`${channel} ${target}`} class={delivered ? "good-text" : "bad-text"}>
            {target}: {delivered ? `arrived in ${duration_ms} ms` : (error ?? "did not arrive")}
          </p>
        ))}
      </div>
    </li>
  );
}
