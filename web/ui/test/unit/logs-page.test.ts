/** The pure parts of the Logs page: columns in the address, rows folded, stack traces, the view as commands. */
import { describe, expect, test } from "vitest";
import type { LogRecord } from "../../src/api/log-record";
import { commandsOf, shellWord } from "../../src/app/commands";
import { stackOf } from "../../src/list/stack-fold";
import { moved, readColumns, resized, writeColumns } from "../../src/pages/logs/columns";
import type { Item } from "../../src/pages/logs/log-session";
import { folded, repeatCount, unfolded } from "../../src/pages/logs/repeats";

describe("columns in the address", () => {
  test.each([
    ["service,host~140", [{ name: "service" }, { name: "host", width: 140 }]],
    [",", []],
    ["a,a~90", [{ name: "a" }]],
    [
      "a~1,b~99999",
      [
        { name: "a", width: 40 },
        { name: "b", width: 1200 },
      ],
    ],
    ["http.route~200", [{ name: "http.route", width: 200 }]],
  ])("%s", (text, expected) => expect(readColumns(text)).toEqual(expected));

  test("come back as they were written", () => {
    const text = "service,host~140,took_ms~60";
    expect(writeColumns(readColumns(text))).toBe(text);
  });

  test("are resized and moved", () => {
    const plan = readColumns("a,b,c");
    expect(writeColumns(resized(plan, "b", 80.4))).toBe("a,b~80,c");
    expect(writeColumns(moved(plan, "a", 2))).toBe("b,c,a");
    expect(writeColumns(moved(plan, "c", -9))).toBe("c,a,b");
    expect(writeColumns(moved(plan, "x", 1))).toBe("a,b,c");
  });
});

describe("rows that say the same", () => {
  const item = (seq: number, message: string): Item => {
    const record: LogRecord = { id: `1-${seq}`, seq, time: "2026-11-22T04:00:00Z", message };
    return { kind: "record", key: record.id, record };
  };
  const gap: Item = { kind: "gap", key: "gap", gap: { from_seq: 1, to_seq: 2, rows: 2 } };
  const shape = (items: readonly Item[]): readonly string[] =>
    items.map((one) => (one.kind === "gap" ? "gap" : `${one.record.message}×${1 + repeatCount(one)}`));

  test("are folded into the first of them, and out again", () => {
    const items = [item(1, "a"), item(2, "a"), gap, item(3, "a"), item(4, "b"), item(5, "b"), item(6, "a")];
    const short = folded(items);
    expect(shape(short)).toEqual(["a×2", "gap", "a×1", "b×2", "a×1"]);
    expect(shape(folded(short))).toEqual(shape(short));
    expect(unfolded(short)).toEqual(items);
  });

  test("are counted on when there are too many to keep", () => {
    const [row] = folded(Array.from({ length: 2500 }, (_, at) => item(at, "a")));
    expect(row?.kind === "record" && [repeatCount(row), row.repeats?.length]).toEqual([2499, 1000]);
    expect(shape(folded([item(9999, "a"), ...(row === undefined ? [] : [row])]))).toEqual(["a×2501"]);
  });
});

describe("a stack trace", () => {
  const kinds = (message: string): unknown => stackOf(message)?.map(({ kind, lines }) => `${kind} ${lines.length}`);
  test.each([
    [
      "Java",
      "java.lang.IllegalStateException: no\n\tat shop.Cart.add(Cart.java:1)\n\tat org.apache.a.B.c(B.java:2)\n\tat java.util.D.e(D.java:3)\n\tat java.lang.Thread.run(T.java:4)\n\tat shop.Main.main(Main.java:5)",
      ["text 1", "own 1", "foreign 3", "own 1"],
    ],
    [
      "Python",
      'Traceback (most recent call last):\n  File "/srv/shop/a.py", line 3, in go\n    stock()\n  File "/usr/lib/python3.11/site-packages/x.py", line 1, in y\n    z()\n  File "/usr/lib/python3.11/site-packages/x.py", line 2, in z\n    w()\nValueError: late',
      ["text 1", "own 2", "foreign 4", "text 1"],
    ],
    [
      "Node",
      "Error: no\n    at add (/srv/cart.js:1:2)\n    at node:internal/process:3:4",
      ["text 1", "own 1", "own 1"],
    ],
    ["no trace", "two\nlines", undefined],
    ["one line", "at a glance", undefined],
  ])("of %s", (_, message, expected) => expect(kinds(message)).toEqual(expected));
});

describe("a view as a command", () => {
  const range = { from: "2026-11-22T03:00:00.000Z", to: "2026-11-22T04:00:00.000Z" };
  const times = "--from 2026-11-22T03:00:00.000Z --to 2026-11-22T04:00:00.000Z";
  const server = "--server http://t:6464";
  const of = (path: string, search = "") => commandsOf("http://t:6464", path, new URLSearchParams(search), range);
  test.each([
    [
      "/logs",
      "q=level:error it's&cols=service,http.route~90",
      `taffrail query 'level:error it'\\''s' ${times} --fields http.route ${server}`,
    ],
    ["/logs", "q=a&view=patterns", `taffrail query a --patterns ${times} ${server}`],
    ["/logs", "live=1", `taffrail tail '' ${server}`],
    ["/explore", "name=web.hits", `taffrail query --promql '{"web.hits"}' ${times} --step 60s ${server}`],
    ["/trace/abc", "", `taffrail query trace_id:abc --since 30d --order oldest --limit 1000 ${server}`],
    ["/ingest", "", undefined],
  ])("%s?%s", (path, search, expected) => expect(of(path, search).command).toBe(expected));

  test("as curl asks the same", () => {
    expect(of("/logs", "q=a b").curl).toBe(
      "curl -s 'http://t:6464/api/v1/logs/search?q=a+b&from=2026-11-22T03%3A00%3A00.000Z&to=2026-11-22T04%3A00%3A00.000Z'",
    );
    expect(of("/trace/abc").curl).toBe("curl -s http://t:6464/api/v1/traces/abc");
  });

  test("nothing of it is run by the shell", () => {
    expect(shellWord("$(reboot); `x` 'y'")).toBe("'$(reboot); `x` '\\''y'\\'''");
    expect(shellWord("")).toBe("''");
  });
});
