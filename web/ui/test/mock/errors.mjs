/** Error groups, annotations and what a deploy changed, for the stand-in server: a few groups, among them hostile and long ones. */

const minute = 60_000;

function ago(minutes) {
  return new Date(Date.now() - minutes * minute).toISOString();
}

const frames = [
  { function: "com.acme.checkout.Bank.charge", file: "Bank.java", line: 41, own: true },
  { function: "com.acme.checkout.Orders.pay", file: "Orders.java", line: 118, own: true },
  {
    function: "org.springframework.web.servlet.FrameworkServlet.service",
    file: "FrameworkServlet.java",
    line: 897,
    own: false,
  },
  { function: "jakarta.servlet.http.HttpServlet.service", file: "HttpServlet.java", line: 658, own: false },
  { function: "com.acme.web.Entry.handle", file: "Entry.java", line: 12, own: true },
  { function: "java.lang.Thread.run", file: "Thread.java", line: 1583, own: false },
];

const groups = [
  group(
    "a1b2c3d4e5f60718",
    "checkout",
    "java.net.SocketTimeoutException",
    "Read timed out",
    "com.acme.checkout.Bank.charge",
    4218,
  ),
  group(
    "b2c3d4e5f6071829",
    "web",
    "TypeError",
    "Cannot read properties of undefined (reading 'total')",
    "Cart.total",
    312,
    "regressed",
  ),
  group("c3d4e5f60718293a", "payment", "", "connection pool exhausted: 20 of 20 in use", "", 77),
  group("d4e5f60718293a4b", "web", "<img src=x onerror=alert(1)>", `${"long ".repeat(60)}message`, "a".repeat(200), 3),
  group("e5f60718293a4b5c", "search", "KeyError", "'tea'", "price", 19, "ignored"),
];

function group(id, service, type, message, culprit, count, state = "open") {
  const back = state === "regressed" ? [{ time: ago(12), version: "1.5.0", resolved_at: ago(2_000) }] : [];
  return {
    id,
    service,
    type,
    message,
    culprit,
    language: type === "" ? "" : "java",
    state,
    decision: state === "ignored" ? { ignored_until: ago(-9_000), by: "ann" } : null,
    total: count * 7,
    first_seen: ago(9_000),
    last_seen: ago(2),
    first_version: "1.4.1",
    versions: ["1.4.1", "1.4.2", "1.5.0"],
    regressions: back,
    last_event: "1-1",
    count,
    trend: Array.from({ length: 40 }, (_, at) => Math.round(((at * 37) % 11) * (count / 200))),
    hosts: [
      { value: "web-1", count },
      { value: "web-2", count: 1 },
    ],
    hosts_total: 5,
  };
}

const deploy = {
  id: "d1",
  time: ago(20),
  end: null,
  kind: "deploy",
  service: "checkout",
  version: "1.5.0",
  text: "faster stock",
  author: "ann",
  links: [],
  source: "api",
};

const wanted = { unresolved: ["open", "regressed"], all: ["open", "regressed", "resolved", "ignored"] };

/** The routes: path, and what answers it. */
export function errorRoutes(json, summary) {
  const change = (what, before, after) => ({
    change: what,
    score: 9.5,
    before: { count: before, rate: before / 1200 },
    after: { count: after, rate: after / 1200 },
  });
  const timer = (count, p50, p95, p99) => ({ count, p50, p95, p99 });
  return [
    ["/api/v1/annotations", (_, __, response) => json(response, 200, { annotations: [deploy], partial: false })],
    [
      "/api/v1/errors",
      (url, _, response) => {
        const state = url.searchParams.get("state") ?? "all";
        const found = groups.filter((one) => (wanted[state] ?? [state]).includes(one.state));
        const states = {};
        for (const { state: name } of groups) states[name] = (states[name] ?? 0) + 1;
        json(response, 200, {
          errors: found,
          groups_total: found.length,
          total: found.reduce((sum, { count }) => sum + count, 0),
          states,
          summary: summary(0),
        });
      },
    ],
    [
      /^\/api\/v1\/errors\/.+$/,
      (url, request, response) => {
        const found = groups.find(({ id }) => url.pathname.endsWith(id));
        if (found === undefined) return json(response, 404, { error: { message: "there is no such error group" } });
        if (request.method === "POST") {
          found.state = url.searchParams.get("state");
          found.decision = found.state === "resolved" ? { resolved_at: ago(0), version: "", by: "" } : null;
          return json(response, 200, { error_group: found });
        }
        const exceptions =
          found.type === ""
            ? []
            : [
                { type: found.type, message: found.message, frames },
                { type: "java.io.IOException", message: "no answer from bank.example:443", frames: frames.slice(1, 4) },
              ];
        const record = {
          id: "1700000000000000000-1",
          seq: 1,
          time: ago(2),
          level: "error",
          host: "web-1",
          service: found.service,
          message: `${found.type}: ${found.message}`,
          trace_id: "4bf92f3577b34da6a3ce929d0e0e4736",
          attributes: { version: "1.5.0" },
        };
        return json(response, 200, {
          error_group: found,
          event: {
            record,
            error: { type: found.type, message: found.message, language: "java", exceptions, text: "" },
          },
          previous: "1699999999000000000-1",
          next: null,
          tags: [
            {
              field: "host",
              values: [
                { value: "web-1", count: 80 },
                { value: "web-2", count: 15 },
              ],
              other: 5,
              missing: 0,
            },
            { field: "version", values: [{ value: "1.5.0", count: 99 }], other: 0, missing: 1 },
          ],
          summary: summary(0),
        });
      },
    ],
    [
      /^\/api\/v1\/deploys\/.+$/,
      (_, __, response) =>
        json(response, 200, {
          deploy,
          canary: null,
          before: { from: ago(80), to: ago(20) },
          after: { from: ago(20), to: ago(0) },
          worse: ["errors of checkout: 3 before, 412 after", "p95 of checkout.time: 81.0 ms before, 933.0 ms after"],
          services: [
            {
              ...change("grown", 3, 412),
              service: "checkout",
              records: { before: 9000, after: 8700 },
              error_share: { before: 0.0003, after: 0.047 },
            },
          ],
          errors: [{ ...groups[0], ...change("new", 0, 390) }],
          patterns: [
            {
              ...change("new", 0, 390),
              id: "a76a1ab304a70eb9",
              pattern: "order <num> failed: cannot reserve stock",
              level: "error",
            },
          ],
          timers: [
            {
              metric: "checkout.time",
              unit: "ms",
              ratio: 11.5,
              before: timer(900, 40, 81, 120),
              after: timer(870, 200, 933, 2900),
            },
          ],
          summary: summary(0),
        }),
    ],
  ];
}
