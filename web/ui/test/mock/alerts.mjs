/** The alerting part of the stand-in: one firing alert with its evidence, what people were told, and silences that can be made and ended. */
const labels = { alertname: "CheckoutSlow", severity: "page", service: "checkout" };
const id = "5c1a2b3c4d5e6f70";
const iso = (milliseconds) => new Date(milliseconds).toISOString();

const silences = [
  {
    id: "0b9c6e0e-1111-4222-8333-444455556666",
    matchers: [{ name: "service", value: "search|cart", isRegex: true, isEqual: true }],
    startsAt: iso(Date.now() - 3_000_000),
    endsAt: iso(Date.now() + 1_500_000),
    createdBy: "ann",
    comment: "index is being rebuilt",
  },
  {
    id: "0b9c6e0e-1111-4222-8333-444455557777",
    matchers: [{ name: "alertname", value: "DiskFull", isRegex: false, isEqual: true }],
    startsAt: iso(Date.now() - 90_000_000),
    endsAt: iso(Date.now() - 50_000_000),
    createdBy: "bob",
    comment: "disks were replaced",
  },
];

const stateOf = (silence) =>
  Date.parse(silence.endsAt) <= Date.now()
    ? "expired"
    : Date.parse(silence.startsAt) > Date.now()
      ? "pending"
      : "active";
const silencing = () =>
  silences.filter(
    (silence) => stateOf(silence) === "active" && silence.matchers.every(({ name, value }) => labels[name] === value),
  );

/** One firing alert and why nobody is told of it. */
export function routed(now) {
  const by = silencing().map((silence) => silence.id);
  return [
    {
      fingerprint: id,
      labels,
      startsAt: iso(now - 1_260_000),
      status: { state: by.length > 0 ? "suppressed" : "active", silencedBy: by, inhibitedBy: [] },
    },
  ];
}

/** The alert with everything that explains it; the lines are the world's own. */
export function detail(asked, now, world) {
  if (asked !== id) return undefined;
  const began = now - 1_260_000;
  const errors = world.records.filter(({ level, service }) => level === "error" && service === "checkout").slice(-40);
  const link = (query, line) =>
    `http://other.example/logs?q=${encodeURIComponent(query)}&from=${iso(began - 600_000)}&to=${iso(began + 300_000)}${line === undefined ? "" : `&line=${line}`}`;
  const query = 'service:"checkout" level:>=error';
  const times = Array.from({ length: 120 }, (_, at) => began - 3_600_000 + at * 40_500);
  return {
    id,
    labels,
    annotations: {
      summary: "95 % of requests take up to 86.4 ms",
      runbook_url: "https://wiki.example/checkout-slow",
    },
    at: iso(began),
    began: iso(began),
    now: { state: "firing", activeAt: iso(began - 120_000), firedAt: iso(began), resolvedAt: null, value: "86.4" },
    rule: {
      file: "rules.yaml",
      group: "shop",
      name: "CheckoutSlow",
      line: 12,
      query: 'max({"web.request.duration", quantile="0.95"}) > 80',
      language: "promql",
      windowSeconds: null,
      labels: { severity: "page", service: "checkout" },
      annotations: { summary: "95 % of requests take up to {{ $value }} ms" },
      forSeconds: 120,
      threshold: { operator: ">", value: 80 },
      lastError: null,
    },
    stretches: [
      { from: iso(began - 2_400_000), to: iso(began - 2_100_000) },
      { from: iso(began), to: iso(now) },
    ],
    curve: {
      times,
      values: times.map((at, index) => 58 + 9 * Math.sin(index / 7) + (at > began - 120_000 ? 24 : 0) + (index % 5)),
      threshold: 80,
    },
    receivers: ["pager"],
    silencedBy: silencing().map((silence) => silence.id),
    inhibitedBy: null,
    evidence: {
      linesQuery: query,
      linesURL: link(query),
      linesTotal: 412,
      lines: [
        ...errors.slice(-8).map(({ id: line, time, level, host, service, message }) => ({
          id: line,
          time,
          level,
          host: host ?? "",
          service: service ?? "",
          message,
          url: link(query, line),
        })),
        {
          id: "1-1",
          time: iso(began),
          level: "fatal",
          host: "shop-1",
          service: "checkout",
          message: "<b>no markup</b> \u001b[31mred\u001b[0m \u202Egnp.exe " + "very long ".repeat(60),
          url: link(query, "1-1"),
        },
      ],
      traces: [
        {
          traceID: "4bf92f3577b34da6a3ce929d0e0e4736",
          url: "http://other.example/trace/4bf92f3577b34da6a3ce929d0e0e4736",
        },
      ],
      changed: [
        {
          what: "pattern",
          text: "connection to <ip> refused after <num> ms",
          change: "new",
          before: 0,
          after: 214,
          url: link("pattern:1"),
        },
        { what: "level", text: "error", change: "grown", before: 31, after: 412, url: link("level:error") },
      ],
      without: null,
    },
  };
}

export function notifications(now) {
  const one = (number, minutesAgo, more) => ({
    id: `${number}-1`,
    time: iso(now - minutesAgo * 60_000),
    message: "alert CheckoutSlow firing (1 firing): 95 % of requests take up to 86.4 ms",
    channel: "pager/webhook",
    target: "https://hooks.example",
    outcome: "delivered",
    reason: "new",
    error: null,
    attempt: 1,
    status: "firing",
    ...more,
  });
  return {
    notifications: [
      one(3, 19, { attempt: 2 }),
      one(2, 20, { outcome: "retrying", error: "it answered 503 Service Unavailable" }),
      one(1, 20, { channel: "mail/email", target: "ops@example.org" }),
    ],
  };
}

/** All silences, or a new one by POST; DELETE ends one. */
export async function answerSilences(url, request, response, json) {
  if (request.method === "POST") {
    let body = "";
    for await (const chunk of request) body += chunk;
    const silence = JSON.parse(body);
    if (silence.comment === "refuse me") return json(response, 400, "a silence says why");
    silences.unshift({ ...silence, id: `0b9c6e0e-1111-4222-8333-${String(Date.now()).slice(-12)}` });
    return json(response, 200, { silenceID: silences[0].id });
  }
  if (request.method === "DELETE") {
    const ended = silences.find((silence) => url.pathname.endsWith(silence.id));
    if (ended !== undefined) ended.endsAt = iso(Date.now());
    return json(response, ended === undefined ? 404 : 200, ended === undefined ? "there is no such silence" : null);
  }
  return json(
    response,
    200,
    silences.map((silence) => ({ ...silence, status: { state: stateOf(silence) } })),
  );
}

/** What rehearsing any rule gives: two firings and a week of nights. */
export function rehearsal(now) {
  const firing = (hoursAgo, minutes) => ({
    labels,
    start: iso(now - hoursAgo * 3_600_000),
    end: iso(now - hoursAgo * 3_600_000 + minutes * 60_000),
    worst: 97.3,
    message: "[FIRING] CheckoutSlow service=checkout severity=page\n95 % of requests take up to 86.4 ms",
  });
  const night = (daysAgo, pages) => ({ night: iso(now - daysAgo * 86_400_000).slice(0, 10), firings: pages, pages });
  const nights = [night(6, 2), night(3, 5), night(2, 1)];
  return {
    rules: [
      {
        name: "CheckoutSlow",
        firings: [firing(60, 12), firing(31, 95)],
        firing_total: 2,
        pending_only: 3,
        error: null,
      },
    ],
    summary: {
      from: iso(now - 7 * 86_400_000),
      to: iso(now),
      firings: 2,
      pages: 8,
      nights,
      partial: false,
      elapsed_ms: 412,
    },
  };
}
