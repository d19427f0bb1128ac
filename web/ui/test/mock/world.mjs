/**
 * The mock server's world: a small shop whose three services call each other, log in their own ways with trace ids, fail
 * now and then, and were once deployed badly. The same seed gives the same world, ending now.
 */

const levelsOf = {
  web: ["info", "info", "info", "debug"],
  checkout: ["info", "info", "debug", "warn"],
  payment: ["info", "info", "info", "warn"],
};
const paths = ["/", "/cart", "/product/41", "/product/7", "/checkout", "/search?q=rope", "/static/app.js"];
const customers = ["ada", "grace", "edsger", "barbara", "tony", "o'neill", "日本"];

/** A small generator of numbers in [0, 1) (mulberry32), so that runs can be repeated. */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** Makes the records of the last `hours`, oldest first, and a function that makes the next ones as time goes on. */
export function createWorld({ rows, hours, now, seed }) {
  const random = seeded(seed);
  const records = [];
  const start = now - hours * 3_600_000;
  const badFrom = start + (now - start) * 0.62;
  const badTo = badFrom + (now - start) * 0.06;
  let seq = 1;

  const pick = (list) => list[Math.floor(random() * list.length)];
  const hex = (digits) => Array.from({ length: digits }, () => "0123456789abcdef"[Math.floor(random() * 16)]).join("");
  const push = (milliseconds, record) => {
    const nanos = BigInt(Math.floor(milliseconds)) * 1_000_000n + BigInt(Math.floor(random() * 1e6));
    const fraction = String(nanos % 1_000_000_000n).padStart(9, "0");
    const time = `${new Date(Number(nanos / 1_000_000n)).toISOString().slice(0, 19)}.${fraction}Z`;
    records.push({ id: `${nanos}-${seq}`, seq, time, ...record });
    seq += 1;
  };

  /** One request through the shop: two to seven lines. */
  const request = (at) => {
    const trace_id = hex(32);
    const host = pick(["shop-1", "shop-2"]);
    const path = pick(paths);
    const customer = pick(customers);
    const bad = at > badFrom && at < badTo;
    const isCheckout = path === "/checkout";
    const fails = isCheckout && random() < (bad ? 0.55 : 0.03);
    const took = Math.round(8 + random() * 60 + (bad ? random() * 700 : 0) + (isCheckout ? 90 : 0));
    const status = fails ? 502 : random() < 0.02 ? 404 : 200;
    push(at, {
      level: pick(levelsOf.web),
      host,
      service: "web",
      message: `GET ${path} started for ${customer}`,
      trace_id,
      span_id: hex(16),
      attributes: { "http.method": "GET", "http.path": path, customer },
    });
    if (isCheckout) {
      push(at + took * 0.2, {
        level: pick(levelsOf.checkout),
        host,
        service: "checkout",
        message: `cart priced items=${1 + Math.floor(random() * 9)} total=${(random() * 200).toFixed(2)}`,
        trace_id,
        span_id: hex(16),
        attributes: { version: bad ? "1.8.0" : "1.7.3", customer },
      });
      push(at + took * 0.4, {
        level: "info",
        host: "pay-1",
        service: "payment",
        message: `charging card ending ${1000 + Math.floor(random() * 9000)}`,
        trace_id,
        span_id: hex(16),
        attributes: { provider: pick(["visa", "sepa"]), attempt: 1 },
      });
      if (fails) {
        push(at + took * 0.6, {
          level: "warn",
          host: "pay-1",
          service: "payment",
          message: "provider answered slowly, timeout after 2000 ms",
          trace_id,
          span_id: hex(16),
          attributes: { provider: "visa", timeout_ms: 2000 },
        });
        push(at + took * 0.8, {
          level: "error",
          severity_text: "ERROR",
          host,
          service: "checkout",
          message:
            'payment failed: timeout talking to payment\nTraceback (most recent call last):\n  File "/srv/checkout/app.py", line 88, in checkout\n    charge(cart)\n  File "/srv/checkout/payment.py", line 31, in charge\n    raise PaymentTimeout(2.0)\nPaymentTimeout: no answer within 2.0 s',
          trace_id,
          span_id: hex(16),
          attributes: {
            "exception.type": "PaymentTimeout",
            version: bad ? "1.8.0" : "1.7.3",
            customer,
            cart: [
              { sku: "rope-20", count: 2 },
              { sku: "lamp", count: 1 },
            ],
          },
        });
      }
    }
    push(at + took, {
      level: status >= 500 ? "error" : status >= 400 ? "warn" : "info",
      host,
      service: "web",
      message: `GET ${path} ${status} in ${took} ms`,
      trace_id,
      span_id: hex(16),
      attributes: { "http.method": "GET", "http.path": path, "http.status_code": status, duration_ms: took, customer },
    });
  };

  /** Lines that a page must survive: colours, control characters, markup, very long ones. */
  const oddities = (at) => {
    push(at, {
      level: "info",
      host: "shop-1",
      service: "web",
      message: "\u001b[32mready\u001b[0m on \u001b[1mport 8080\u001b[0m in \u001b[33m312 ms\u001b[0m",
    });
    push(at + 1, {
      level: "warn",
      host: "shop-1",
      service: "web",
      message: "odd bytes: \u0007 bell, \u202ereversed, tab\tand \u0000 nul",
    });
    push(at + 2, {
      level: "error",
      host: "shop-1",
      service: "web",
      message: '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script> is only text',
      attributes: { "user<b>agent": "<b>bold</b>" },
    });
    push(at + 3, {
      level: "debug",
      host: "shop-2",
      service: "checkout",
      message: JSON.stringify({
        event: "cart",
        items: [
          { sku: "rope-20", price: 12.5 },
          { sku: "lamp", price: 30 },
        ],
        nested: { deep: { deeper: [1, 2, 3] } },
      }),
    });
    push(at + 4, { level: "fatal", host: "pay-1", service: "payment", message: `out of memory: ${"x".repeat(4000)}` });
    push(at + 5, { host: "shop-2", service: "cron", message: "=1+1 a line without level" });
  };

  const perRequest = 2.6;
  const requests = Math.max(1, Math.floor(rows / perRequest));
  for (let done = 0; done < requests; done += 1) {
    const share = done / requests;
    request(start + (now - start) * share - random() * 200);
  }
  oddities(now - 45_000);
  records.sort((left, right) => (left.time < right.time ? -1 : left.time > right.time ? 1 : 0));
  records.forEach((record, index) => {
    record.seq = index + 1;
    record.id = `${record.id.split("-")[0]}-${record.seq}`;
  });
  seq = records.length + 1;

  return {
    records,
    start,
    badFrom,
    badTo,
    /** Adds a record that a client sent, with its place in the numbering, and returns it. */
    add(sent) {
      const { level, host, service, message, trace_id, ...attributes } = sent;
      push(Date.now(), { level, host, service, message, trace_id, attributes });
      const record = records.at(-1);
      record.seq = records.length;
      record.id = `${record.id.split("-")[0]}-${record.seq}`;
      return record;
    },
    /** Adds what happens at a moment and returns the new records. */
    goOn(milliseconds) {
      const before = records.length;
      request(milliseconds);
      const added = records.splice(before);
      added.sort((left, right) => (left.time < right.time ? -1 : 1));
      for (const record of added) {
        record.seq = records.length + 1;
        record.id = `${record.id.split("-")[0]}-${record.seq}`;
        records.push(record);
      }
      return added;
    },
  };
}
