/**
 * A stand-in for the server: the same API over a generated world, and the built page with the headers that the server
 * sends, the strict content security policy among them. For work on the page and for the browser walk's quick path.
 *
 * `npm run mock` serves on port 6464; PORT, ROWS and HOURS change it.
 */
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { agents } from "./agents.mjs";
import { answerSilences, detail, notifications, rehearsal, routed } from "./alerts.mjs";
import { errorRoutes } from "./errors.mjs";
import { exemplarsOf, metricIn, metrics, rangeOf, rules, seriesOf } from "./metrics.mjs";
import { compile, fieldText, patternOf } from "./search.mjs";
import { createWorld } from "./world.mjs";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'";
const contentTypes = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Starts a server; resolves with its address and a way to stop it. */
export async function startMock({ port = 0, rows = 60_000, hours = 3, seed = 7, slowMs = 0 } = {}) {
  const started = Date.now();
  const world = createWorld({ rows, hours, now: started, seed });
  const followers = new Set();
  const counts = { samples: 0, cancelled: 0 };
  const growth = setInterval(() => {
    counts.samples += 34;
    const added = world.goOn(Date.now());
    for (const follower of followers) follower(added);
  }, 400);
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://mock");
    const answer = routes(world, followers, counts, started, slowMs, `127.0.0.1:${server.address().port}`).find(
      ([path]) => (typeof path === "string" ? path === url.pathname : path.test(url.pathname)),
    );
    if (answer !== undefined) {
      Promise.resolve()
        .then(() => answer[1](url, request, response))
        .catch((error) =>
          json(response, error.column === undefined && error.message === undefined ? 500 : 400, {
            error: { message: error.message, column: error.column },
          }),
        );
      return;
    }
    asset(url.pathname, response);
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    world,
    /** How many searches were given up by whoever asked. */
    cancelled: () => counts.cancelled,
    stop() {
      clearInterval(growth);
      server.closeAllConnections();
      server.close();
    },
  };
}

function routes(world, followers, counts, started, slowMs, address) {
  const range = (url) => {
    const from = moment(url.searchParams.get("from"), Date.now() - 3_600_000);
    const to = moment(url.searchParams.get("to"), Date.now());
    const test = compile(url.searchParams.get("q") ?? "");
    // Times of one form compare as texts; the Z at the end would not.
    const [first, last] = [from, to].map((milliseconds) => new Date(milliseconds).toISOString().slice(0, -1));
    return {
      from,
      to,
      found: world.records.filter((record) => record.time >= first && record.time < last && test(record)),
    };
  };
  const summary = (rows) => ({
    rows,
    scanned_rows: world.records.length,
    scanned_bytes: world.records.length * 180,
    elapsed_ms: 12.4,
    partial: false,
    next_cursor: null,
  });
  return [
    ...errorRoutes(json, summary),
    ["/api/v1/logs/search", (url, request, response) => search(world, url, response, range, summary, slowMs, counts)],
    [
      "/api/v1/logs/explain",
      (url, _, response) =>
        json(response, 200, {
          rows: range(url).found.length,
          conditions: [],
          stages: [],
          nearest: { before: null, after: null },
          unknown_fields: [],
        }),
    ],
    ["/api/v1/views", (_url, _request, response) => json(response, 200, { views: [] })],
    [
      "/api/v1/logs/histogram",
      (url, _, response) => {
        const { from, to, found } = range(url);
        const interval =
          [1000, 2000, 5000, 10000, 30000, 60000, 300000, 600000, 3600000, 21600000].find(
            (step) => (to - from) / step <= 120,
          ) ?? 86400000;
        const buckets = new Map();
        for (let time = Math.floor(from / interval) * interval; time < to; time += interval) buckets.set(time, {});
        for (const record of found) {
          const bucket = buckets.get(Math.floor(Date.parse(record.time) / interval) * interval);
          const key = url.searchParams.get("by") === "level" ? (record.level ?? "") : "count";
          if (bucket !== undefined) bucket[key] = (bucket[key] ?? 0) + 1;
        }
        json(response, 200, {
          interval_ms: interval,
          buckets: [...buckets].map(([time, counts]) => ({ time: new Date(time).toISOString(), counts })),
          total: found.length,
          summary: summary(0),
        });
      },
    ],
    [
      "/api/v1/logs/facets",
      (url, _, response) => {
        const { found } = range(url);
        const limit = Number(url.searchParams.get("limit") ?? 10);
        const facets = (url.searchParams.get("fields") ?? "").split(",").map((field) => {
          const counted = new Map();
          let missing = 0;
          for (const record of found) {
            const text = fieldText(record, field);
            if (text === undefined) missing += 1;
            else counted.set(text, (counted.get(text) ?? 0) + 1);
          }
          const sorted = [...counted].sort((left, right) => right[1] - left[1]);
          return {
            field,
            values: sorted.slice(0, limit).map(([value, count]) => ({ value, count })),
            other: sorted.slice(limit).reduce((sum, [, count]) => sum + count, 0),
            missing,
          };
        });
        json(response, 200, { facets, summary: summary(0) });
      },
    ],
    [
      "/api/v1/logs/patterns",
      (url, _, response) => {
        const { found, from, to } = range(url);
        const interval = Math.max(1, Math.ceil((to - from) / 60));
        const known = new Map();
        for (const record of found) {
          const { id, pattern } = patternOf(record.message ?? "");
          const services = [{ value: record.service ?? "", count: 1 }];
          const fresh = {
            id,
            pattern,
            count: 0,
            levels: {},
            services,
            services_total: 1,
            trend: new Array(61).fill(0),
          };
          const one = known.get(id) ?? { ...fresh, level: record.level ?? "", example: record, last_seen: record.time };
          known.set(id, one);
          one.count += 1;
          one.first_seen = record.time;
          one.levels[record.level ?? ""] = (one.levels[record.level ?? ""] ?? 0) + 1;
          one.trend[Math.floor((Date.parse(record.time) - from) / interval)] += 1;
        }
        const patterns = [...known.values()].sort((left, right) => right.count - left.count).slice(0, 200);
        const trend = { start: new Date(from).toISOString(), interval_ms: interval };
        const counts = { patterns_total: known.size, total: found.length, other: 0 };
        json(response, 200, { patterns, ...counts, trend, summary: summary(0) });
      },
    ],
    [
      "/api/v1/logs/fields",
      (url, _, response) => {
        const counted = new Map();
        for (const record of range(url).found.slice(-20_000)) {
          for (const name of [
            ...Object.keys(record).filter((key) => !["id", "seq", "attributes", "severity_text"].includes(key)),
            ...Object.keys(record.attributes ?? {}),
          ])
            counted.set(name, (counted.get(name) ?? 0) + 1);
        }
        json(response, 200, {
          fields: [...counted]
            .map(([name, count]) => ({ name, count }))
            .sort((left, right) => right.count - left.count),
          summary: summary(0),
        });
      },
    ],
    [
      "/api/v1/logs/context",
      (url, _, response) => {
        const record = world.records.find(({ id }) => id === url.searchParams.get("id"));
        if (record === undefined) return json(response, 404, { error: { message: "There is no record with this id" } });
        const same = world.records.filter((other) =>
          (url.searchParams.get("by") ?? "host,service")
            .split(",")
            .every((field) => fieldText(other, field) === fieldText(record, field)),
        );
        const at = same.indexOf(record);
        json(response, 200, {
          before: same.slice(Math.max(0, at - Number(url.searchParams.get("before"))), at),
          record,
          after: same.slice(at + 1, at + 1 + Number(url.searchParams.get("after"))),
        });
      },
    ],
    ["/api/v1/logs/tail", (url, request, response) => tail(world, followers, url, request, response)],
    [
      "/api/v1/traces",
      (url, _, response) => {
        const traces = new Map();
        for (const record of world.records) {
          if (record.trace_id === undefined) continue;
          const { trace_id, time, service, message } = record;
          const trace = traces.get(trace_id) ?? {
            trace_id,
            start: time,
            service,
            name: message,
            services: [],
            records: 0,
            errors: 0,
          };
          traces.set(trace_id, trace);
          trace.end = time;
          trace.duration_ms = Date.parse(time) - Date.parse(trace.start);
          trace.records += 1;
          trace.errors += record.level === "error" ? 1 : 0;
          if (!trace.services.some((one) => one.service === service)) trace.services.push({ service, records: 1 });
        }
        const wanted = [...traces.values()].filter(
          ({ errors }) => url.searchParams.get("error") !== "true" || errors > 0,
        );
        const newest = wanted.sort((a, b) => b.start.localeCompare(a.start));
        json(response, 200, { traces: newest.slice(0, 100), total: newest.length, summary: { partial: false } });
      },
    ],
    [
      /^\/api\/v1\/traces\//,
      (url, _, response) => {
        const trace_id = url.pathname.split("/").at(-1);
        const found = world.records.filter((record) => record.trace_id === trace_id);
        if (found.length === 0)
          return json(response, 404, { error: { message: `nothing is known of trace ${trace_id}` } });
        const services = new Map();
        for (const { service, host } of found)
          services.set(`${service} ${host}`, {
            service,
            host,
            records: (services.get(`${service} ${host}`)?.records ?? 0) + 1,
          });
        const exemplars = found.slice(0, 1).map(({ time, span_id }) => ({
          series: { __name__: "web.request.duration", host: "shop-1" },
          time,
          value: 143,
          span_id,
        }));
        json(response, 200, {
          trace_id,
          start: found[0]?.time ?? null,
          end: found.at(-1)?.time ?? null,
          services: [...services.values()],
          records: found,
          exemplars,
          partial: false,
        });
      },
    ],
    [
      "/api/v1/metrics",
      (url, _, response) => {
        const wanted = (url.searchParams.get("search") ?? "").toLowerCase();
        json(response, 200, {
          metrics: metrics
            .filter(({ name }) => name.includes(wanted))
            .map(({ name, type, unit, series }) => ({ name, type, unit, series })),
        });
      },
    ],
    [
      "/api/v1/query_range",
      (url, _, response) => {
        const { query, start, end, step } = Object.fromEntries(url.searchParams);
        try {
          prometheus(response, {
            resultType: "matrix",
            result: rangeOf(query, Number(start), Number(end), Number(step), world),
          });
        } catch (error) {
          json(response, 400, { status: "error", errorType: "bad_data", error: error.message });
        }
      },
    ],
    [
      "/api/v1/series",
      (url, _, response) =>
        prometheus(response, seriesOf(metricIn(url.searchParams.get("match[]") ?? "") ?? { labels: {} })),
    ],
    [
      "/api/v1/query_exemplars",
      (url, _, response) =>
        prometheus(
          response,
          exemplarsOf(
            url.searchParams.get("query") ?? "",
            Number(url.searchParams.get("start")),
            Number(url.searchParams.get("end")),
            world,
          ),
        ),
    ],
    ["/api/v1/rules", (_, __, response) => prometheus(response, rules(Date.now(), world))],
    ["/api/v2/alerts", (_, __, response) => json(response, 200, routed(Date.now()))],
    [/^\/api\/v2\/silences?(\/|$)/, (url, request, response) => answerSilences(url, request, response, json)],
    ["/api/v1/rules/replay", (_, __, response) => json(response, 200, rehearsal(Date.now()))],
    ["/api/v1/annotations", (_, __, response) => json(response, 200, { annotations: [] })],
    ["/api/v1/notifications", (_, __, response) => json(response, 200, notifications(Date.now()))],
    [
      /^\/api\/v1\/alerts\//,
      (url, _, response) => {
        const found = detail(url.pathname.split("/").at(-1), Date.now(), world);
        json(response, found === undefined ? 404 : 200, found ?? { error: { message: "no such alert fired" } });
      },
    ],
    ["/api/v1/logs", (_, request, response) => receive(world, followers, request, response)],
    ["/api/v1/ingest", (_, __, response) => json(response, 200, ingest(world, counts, started, address))],
    ["/api/v1/annotations", (_, __, response) => json(response, 200, { annotations: [], partial: false })],
    ["/api/v1/agents", (_, __, response) => json(response, 200, agents(Date.now()))],
    ["/healthz", (_, __, response) => json(response, 200, { status: "ok" })],
  ];
}

async function search(world, url, response, range, summary, slowMs, counts) {
  const { found } = range(url);
  const limit = Number(url.searchParams.get("limit") ?? 100);
  const cursor = url.searchParams.get("cursor");
  const oldest = url.searchParams.get("order") === "oldest";
  // The world's numbering follows time, so that the number in the cursor is all that counts.
  const cursorSeq = cursor === null ? undefined : Number(cursor.split("-")[1]);
  const after =
    cursorSeq === undefined ? found : found.filter(({ seq }) => (oldest ? seq > cursorSeq : seq < cursorSeq));
  const rest = oldest ? after : after.toReversed();
  const page = rest.slice(0, limit);
  response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
  for (let part = 0; part < 4 && slowMs > 0 && !response.destroyed; part += 1) {
    response.write(
      `${JSON.stringify({ progress: { parts_done: part, parts: 4, scanned_rows: part * 1e6, elapsed_ms: part * slowMs } })}\n`,
    );
    await new Promise((resolve) => setTimeout(resolve, slowMs));
  }
  if (response.destroyed) {
    counts.cancelled += 1;
    return;
  }
  for (const record of page) response.write(`${JSON.stringify({ record })}\n`);
  response.end(
    `${JSON.stringify({ summary: { ...summary(page.length), next_cursor: rest.length > limit ? page.at(-1).id : null } })}\n`,
  );
}

async function receive(world, followers, request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const records = body
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => world.add(JSON.parse(line)));
  for (const follower of followers) follower(records);
  json(response, 200, { accepted: records.length, rejected: [] });
}

function tail(world, followers, url, request, response) {
  const test = compile(url.searchParams.get("q") ?? "");
  response.writeHead(200, { "content-type": "application/x-ndjson", "cache-control": "no-store" });
  const send = (records) => {
    for (const record of records) if (test(record)) response.write(`${JSON.stringify({ record })}\n`);
  };
  const fromSeq = url.searchParams.get("from_seq");
  if (fromSeq !== null) send(world.records.slice(Math.max(0, Number(fromSeq) - 1)));
  followers.add(send);
  const heartbeat = setInterval(
    () =>
      response.write(
        `${JSON.stringify({ heartbeat: { seq: world.records.length, time: new Date().toISOString() } })}\n`,
      ),
    1000,
  );
  request.on("close", () => {
    clearInterval(heartbeat);
    followers.delete(send);
  });
}

function ingest(world, counts, started, address) {
  const now = new Date().toISOString();
  const records = world.records.length;
  const source = (kind, name, taken, problems = []) => ({
    kind,
    name,
    records: taken,
    bytes: taken * 140,
    last_seen: taken === 0 ? null : now,
    problems,
  });
  return {
    version: "0.1.0",
    started: new Date(started).toISOString(),
    now,
    uptime_seconds: (Date.now() - started) / 1000,
    listeners: { http: address, statsd: "127.0.0.1:8125", syslog: "127.0.0.1:5514" },
    sources: [
      source("files", "/var/log/shop/*.log", records - 1200),
      source("host_metrics", "this host", 400 + counts.samples),
      source("json_lines", "http", 1200, [
        {
          reason: "time_in_future",
          count: 3,
          last_seen: now,
          example: '{"time":"2092-01-01T00:00:00Z","msg":"from the future"}',
        },
      ]),
      source("journald", "this host", 310),
      source("statsd", "udp 127.0.0.1:8125", 90_210 + counts.samples * 3, [
        { reason: "malformed_line", count: 17, last_seen: now, example: "web.hits:1|q" },
      ]),
      source("syslog", "udp 127.0.0.1:5514", 0),
    ],
    store: {
      log_records: records,
      samples: 90_610 + counts.samples * 4,
      batches: 912,
      duplicate_batches: 2,
      refused: { memory_full: 0 },
      adjusted: { time_in_future: 3 },
      head_rows: 12_000,
      head_bytes: 3_400_000,
      splits: 4,
      split_rows: records - 12_000,
      split_bytes: 2_300_000,
      series: 25,
      blocks: 3,
      block_bytes: 410_000,
      journal_bytes: 5_100_000,
      journal_damaged: 0,
      replayed_rows: 0,
      next_seq: records + 1,
      disk_free_bytes: 61_000_000_000,
    },
    agents: [],
  };
}

function moment(text, fallback) {
  if (text === null) return fallback;
  const relative = /^now-(\d+)([smhd])$/.exec(text);
  if (relative !== null)
    return Date.now() - Number(relative[1]) * { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[relative[2]];
  return text === "now" ? Date.now() : Date.parse(text);
}

function asset(path, response) {
  const file = normalize(join(dist, path));
  const isFile = file.startsWith(dist) && extname(file) !== "" && existsSync(file);
  const isPage = /^\/($|logs|explore|trace|alerts|errors|ingest)/.test(path);
  if (!isFile && !isPage) return json(response, 404, { error: { message: "There is nothing here" } });
  const served = isFile ? file : join(dist, "index.html");
  response.writeHead(200, {
    "content-type": contentTypes[extname(served)] ?? "application/octet-stream",
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
  });
  response.end(readFileSync(served));
}

function prometheus(response, data) {
  json(response, 200, { status: "success", data });
}

function json(response, status, body) {
  if (!response.headersSent) response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { PORT = "6464", ROWS = "60000", HOURS = "3", SLOW_MS = "0" } = process.env;
  const mock = await startMock({
    port: Number(PORT),
    rows: Number(ROWS),
    hours: Number(HOURS),
    slowMs: Number(SLOW_MS),
  });
  console.log(mock.url);
}
