/**
 * Reads a stream of newline-separated JSON values as they arrive. A line that is no JSON is handed on as such and costs
 * its neighbours nothing.
 */

/** One line: what it holds, or its text when it holds no JSON. */
export type Line = { readonly value: unknown } | { readonly malformed: string };

/** The lines of a body, each as soon as its newline has come; the last one also without. */
export async function* readLines(body: ReadableStream<Uint8Array>): AsyncGenerator<Line> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let pending = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      pending += done ? decoder.decode() : decoder.decode(value, { stream: true });
      let start = 0;
      for (let end = pending.indexOf("\n"); end !== -1; end = pending.indexOf("\n", start)) {
        const line = parsed(pending.slice(start, end));
        start = end + 1;
        if (line !== undefined) yield line;
      }
      pending = pending.slice(start);
      if (done) break;
    }
    const last = parsed(pending);
    if (last !== undefined) yield last;
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function parsed(line: string): Line | undefined {
  const text = line.trim();
  if (text === "") return undefined;
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return { malformed: text };
  }
}
