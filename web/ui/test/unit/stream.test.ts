/** The streaming reader and the tail against bodies that come in awkward pieces, break off, and go on. */
import { afterEach, describe, expect, test, vi } from "vitest";
import { readLines } from "../../src/api/ndjson";
import { searchLogs } from "../../src/api/logs";
import { followTail } from "../../src/api/tail";

afterEach(() => vi.unstubAllGlobals());

function bodyOf(chunks: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const line = (value: unknown): string => `${JSON.stringify(value)}\n`;

describe("lines", () => {
  test("come whole wherever the bytes are cut", async () => {
    const text = `{"a":"é"}\n\n{"b":2}\r\nnot json\n{"c":3}`;
    const whole = bytesOf(text);
    for (let cut = 0; cut <= whole.length; cut += 1) {
      const lines = [];
      for await (const one of readLines(bodyOf([whole.slice(0, cut), whole.slice(cut)]))) lines.push(one);
      expect(lines).toEqual([
        { value: { a: "é" } },
        { value: { b: 2 } },
        { malformed: "not json" },
        { value: { c: 3 } },
      ]);
    }
  });
});

describe("a search", () => {
  const ask = (respond: () => Response) => {
    vi.stubGlobal("fetch", async () => respond());
    const records: string[] = [];
    const answer = searchLogs(
      { q: "", from: "", to: "", limit: 1 },
      { record: ({ id }) => void records.push(id), progress: () => undefined },
      new AbortController().signal,
    );
    return answer.then((value) => ({ value, records }));
  };

  test("hands on its records and ends with the summary", async () => {
    const { value, records } = await ask(
      () => new Response(line({ record: { id: "1" } }) + line({ progress: {} }) + line({ summary: { rows: 1 } })),
    );
    expect(records).toEqual(["1"]);
    expect(value).toEqual({ ok: true, value: { rows: 1 } });
  });

  test("that breaks off is no whole answer", async () => {
    const { value } = await ask(() => new Response(line({ record: { id: "1" } })));
    expect(value).toMatchObject({ ok: false, failure: { kind: "network" } });
  });

  test.each([
    ['{"error":{"message":"no","column":4}}', { message: "no", column: 4 }],
    ['{"status":"error","error":"bad expr"}', { message: "bad expr" }],
    ["plain words\nmore", { message: "plain words" }],
    ["<html>", { message: "400" }],
  ])("that is refused says %s", async (text, expected) => {
    const { value } = await ask(() => new Response(text, { status: 400 }));
    expect(value).toMatchObject({ ok: false, failure: { kind: "refused", status: 400, ...expected } });
  });
});

describe("a tail", () => {
  test("resumes behind the last number it saw and hands gaps on", async () => {
    const asked: string[] = [];
    const stop = new AbortController();
    const bodies = [
      line({ record: { id: "a", seq: 7 } }) + line({ gap: { from_seq: 8, to_seq: 9, rows: 2 } }),
      line({ record: { id: "b", seq: 10 } }),
      line({ heartbeat: { seq: 30 } }),
      "",
    ];
    vi.stubGlobal("fetch", async (address: string) => {
      asked.push(address);
      if (asked.length === 4) stop.abort();
      return new Response(bodies[asked.length - 1]);
    });
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const seen: string[] = [];
    const done = followTail(
      "x",
      5,
      {
        record: ({ id }) => void seen.push(id),
        gap: ({ rows }) => void seen.push(`gap ${rows}`),
        state: () => undefined,
      },
      stop.signal,
    );
    while (!stop.signal.aborted) await vi.advanceTimersByTimeAsync(600);
    await done;
    vi.useRealTimers();
    expect(seen).toEqual(["a", "gap 2", "b"]);
    expect(asked.map((address) => new URL(address, "http://x").searchParams.get("from_seq"))).toEqual([
      "5",
      "10",
      "11",
      "30",
    ]);
  });

  test("of a query that is refused ends", async () => {
    vi.stubGlobal("fetch", async () => new Response('{"error":{"message":"no"}}', { status: 400 }));
    const states: string[] = [];
    await followTail(
      "(",
      undefined,
      { record: () => undefined, gap: () => undefined, state: (state) => void states.push(state) },
      new AbortController().signal,
    );
    expect(states).toEqual(["connecting", "waiting"]);
  });
});
