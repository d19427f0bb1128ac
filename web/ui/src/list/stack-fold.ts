/** Stack traces in a message: which lines are frames, and which of them are of one's own code. Pure. */

/** A stretch of lines that is shown or folded as a whole. */
export interface Stretch {
  readonly kind: "text" | "own" | "foreign";
  readonly lines: readonly string[];
}

const frame =
  /^\s+at \S|^\s+File ".+", line \d+|^\s+\d+: +\S|^\s+at .+:\d+|^\t\S+\.go:\d+|^\S+\(.*\)$|^\s+from \S+:\d+:in |^\s*\.\.\. \d+ (more|common frames)/;
/** Frames of languages, their libraries and of what packagers fetch. */
const foreign = new RegExp(
  [
    String.raw`^\s+at (java|javax|jdk|sun|com\.sun|jakarta|kotlin|scala|org\.(springframework|apache|hibernate|eclipse|jboss)|io\.(netty|undertow)|reactor)\.`,
    String.raw`node_modules|node:internal|\(internal/|<anonymous>`,
    String.raw`site-packages|dist-packages|/lib/python\d`,
    String.raw`^\s+\d+: (<?(std|core|alloc|tokio|hyper|axum|tower|futures_\w+|__)|rust_begin_unwind|_start|start_thread|clone)|/rustc/|\.cargo/registry`,
    String.raw`^\t/usr/(local/)?go/|^(runtime|net/http|testing)\.`,
    String.raw`/gems/|^\s*\.\.\. \d+ (more|common frames)`,
    String.raw`^\s+at (System|Microsoft)\.`,
  ].join("|"),
);

/** Fewer foreign frames than this are not worth a fold. */
const foldedMin = 3;

/** The stretches of a message, or undefined when it holds no stack trace. */
export function stackOf(message: string): readonly Stretch[] | undefined {
  if (!message.includes("\n")) return undefined;
  const lines = message.split("\n");
  const kinds = lines.map((line, at): Stretch["kind"] => {
    if (frame.test(line)) return foreign.test(line) ? "foreign" : "own";
    // The second line of a frame: Python's source text, Rust's and Go's file.
    const before = lines[at - 1];
    if (before !== undefined && frame.test(before) && /^\s{2,}\S/.test(line)) {
      return foreign.test(line) || foreign.test(before) ? "foreign" : "own";
    }
    return "text";
  });
  if (kinds.filter((kind) => kind !== "text").length < 2) return undefined;
  const stretches: { kind: Stretch["kind"]; lines: string[] }[] = [];
  kinds.forEach((kind, at) => {
    const line = lines[at] ?? "";
    const last = stretches.at(-1);
    if (last?.kind === kind) last.lines.push(line);
    else stretches.push({ kind, lines: [line] });
  });
  return stretches.map((stretch) =>
    stretch.kind === "foreign" && stretch.lines.length < foldedMin ? { ...stretch, kind: "own" } : stretch,
  );
}
