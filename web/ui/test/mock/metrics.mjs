/** The mock server's metrics: smooth waves with noise, enough of Prometheus' API for the page to ask its questions. */
import { seeded } from "./world.mjs";

export const metrics = [
  {
    name: "web.hits",
    type: "counter",
    unit: "",
    series: 4,
    labels: { host: ["shop-1", "shop-2"], status: ["200", "502"] },
    level: 6,
  },
  {
    name: "web.request.duration",
    type: "distribution",
    unit: "ms",
    series: 2,
    labels: { host: ["shop-1", "shop-2"] },
    level: 45,
  },
  { name: "checkout.orders", type: "counter", unit: "", series: 2, labels: { host: ["shop-1", "shop-2"] }, level: 0.6 },
  {
    name: "checkout.cart.value",
    type: "distribution",
    unit: "",
    series: 2,
    labels: { host: ["shop-1", "shop-2"] },
    level: 80,
  },
  {
    name: "payment.charge.duration",
    type: "distribution",
    unit: "ms",
    series: 1,
    labels: { host: ["pay-1"] },
    level: 130,
  },
  { name: "payment.queue", type: "gauge", unit: "", series: 1, labels: { host: ["pay-1"] }, level: 12 },
  { name: "web.visitors", type: "set", unit: "", series: 2, labels: { host: ["shop-1", "shop-2"] }, level: 35 },
  {
    name: "host.cpu.usage",
    type: "gauge",
    unit: "%",
    series: 6,
    labels: { host: ["shop-1", "shop-2", "pay-1"], mode: ["user", "system"] },
    level: 22,
  },
  {
    name: "host.memory.used",
    type: "gauge",
    unit: "bytes",
    series: 3,
    labels: { host: ["shop-1", "shop-2", "pay-1"] },
    level: 3.1e9,
  },
];

/** All label sets of a metric. */
export function seriesOf(metric) {
  return Object.entries(metric.labels).reduce(
    (sets, [name, values]) => sets.flatMap((set) => values.map((value) => ({ ...set, [name]: value }))),
    [{ __name__: metric.name }],
  );
}

/** The metric that an expression asks about, by the name that occurs in it. */
export function metricIn(expression) {
  return metrics.find(({ name }) => expression.includes(`"${name}`) || expression.includes(name));
}

/** Series for a range query: grouped as its `by (…)` says, one line without. */
export function rangeOf(expression, start, end, step, world) {
  if (/\(\s*$|^\s*\)|\{\s*$/.test(expression) || countOf(expression, "(") !== countOf(expression, ")")) {
    throw { message: `1:${expression.length + 1}: parse error: unexpected end of input` };
  }
  const metric = metricIn(expression);
  if (metric === undefined) return [];
  const by = (/\bby\s*\(([^)]*)\)/.exec(expression)?.[1] ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const quantile = /quantile(?:="|\()([\d.]+)/.exec(expression)?.[1];
  const aggregated = /\b(sum|avg|min|max|count|topk)\b/.test(expression);
  const groups = new Map();
  for (const labels of seriesOf(metric)) {
    const kept = aggregated
      ? Object.fromEntries(by.filter((name) => labels[name] !== undefined).map((name) => [name, labels[name]]))
      : labels;
    groups.set(JSON.stringify(kept), kept);
  }
  return [...groups.values()].map((labels, index) => {
    const random = seeded(index + expression.length * 7 + Math.floor(start));
    const factor =
      (quantile === undefined ? 1 : { 0.5: 0.8, 0.9: 1.5, 0.95: 1.9, 0.99: 3.2 }[quantile]) *
      (/\bmin\(/.test(expression) ? 0.7 : /\bmax\(/.test(expression) ? 1.3 : 1) *
      (1 + index * 0.35);
    const values = [];
    for (let time = start; time <= end + 0.001; time += step) {
      if (time * 1000 < world.start) continue;
      const bad = time * 1000 > world.badFrom && time * 1000 < world.badTo;
      const wave = 1 + 0.35 * Math.sin(time / 1700) + 0.1 * Math.sin(time / 190);
      values.push([
        time,
        String(metric.level * factor * wave * (0.94 + random() * 0.12) * (bad && metric.unit === "ms" ? 3 : 1)),
      ]);
    }
    return { metric: labels, values };
  });
}

/** A few exemplars of a metric within a range. */
export function exemplarsOf(expression, start, end, world) {
  const metric = metricIn(expression);
  if (metric?.type !== "distribution") return [];
  const withTrace = world.records.filter(
    (record) =>
      record.trace_id !== undefined && Date.parse(record.time) / 1000 >= start && Date.parse(record.time) / 1000 <= end,
  );
  const every = Math.max(1, Math.floor(withTrace.length / 24));
  const exemplars = withTrace
    .filter((_, index) => index % every === 0)
    .map((record) => ({
      labels: { trace_id: record.trace_id, span_id: record.span_id },
      value: String(record.attributes?.duration_ms ?? metric.level),
      timestamp: Date.parse(record.time) / 1000,
    }));
  return exemplars.length === 0 ? [] : [{ seriesLabels: seriesOf(metric)[0], exemplars }];
}

/** The rules page's world: one firing, one pending, one quiet, one broken, one recording. */
export function rules(now, world) {
  const iso = (milliseconds) => new Date(milliseconds).toISOString();
  const checked = { health: "ok", lastEvaluation: iso(now - 4000), evaluationTime: 0.0021 };
  const alert = (name, query, state, value, labels, annotations, since, more = {}) => ({
    type: "alerting",
    name,
    query,
    duration: 120,
    labels,
    annotations,
    state,
    currentValue: value,
    alerts:
      state === "inactive"
        ? []
        : [{ labels: { alertname: name, ...labels }, annotations, state, activeAt: iso(since), value: String(value) }],
    ...checked,
    ...more,
  });
  return {
    groups: [
      {
        name: "shop",
        file: "rules.yaml",
        interval: 15,
        rules: [
          alert(
            "CheckoutSlow",
            'max({"web.request.duration", quantile="0.95"}) > 80',
            "firing",
            86.4,
            { severity: "page", service: "checkout" },
            { summary: "95 % of requests take up to 86.4 ms" },
            now - 1_260_000,
          ),
          alert(
            "QueueGrows",
            '{"payment.queue"} > 10',
            "pending",
            12.8,
            { severity: "ticket", service: "payment" },
            { summary: "12.8 charges wait on pay-1" },
            now - 40_000,
          ),
          alert(
            "NoOrders",
            'sum(rate({"checkout.orders"}[5m])) == 0',
            "inactive",
            0.61,
            { severity: "page", service: "checkout" },
            { summary: "No order for five minutes" },
            world.start,
          ),
          {
            type: "alerting",
            name: "Broken",
            query: 'rate({"web.hits"})',
            duration: 0,
            labels: {},
            annotations: {},
            state: "inactive",
            alerts: [],
            currentValue: null,
            health: "err",
            lastError: "1:6: expected a range vector in rate(), got an instant vector",
            lastEvaluation: iso(now - 4000),
            evaluationTime: 0,
          },
          { type: "recording", name: "shop:hits:rate5m", query: 'sum(rate({"web.hits"}[5m]))', labels: {}, ...checked },
        ],
      },
    ],
  };
}

function countOf(text, character) {
  return text.split(character).length - 1;
}
