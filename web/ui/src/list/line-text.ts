/**
 * A log line made fit to show: ANSI colours become classes, every other control character becomes a visible escape, and
 * what the query looks for is marked. Works on texts only; the result goes to the page as text nodes.
 */

/** A stretch of a line that looks the same throughout. */
export interface Piece {
  readonly text: string;
  /** Class names, or the empty string. */
  readonly style: string;
  /** Whether the query asked for this text. */
  readonly marked: boolean;
}

/** Select Graphic Rendition, the only escape sequence that is shown (ECMA-48 §8.3.117). */
const graphicRendition = /\u001b\[([\d;:]*)m/g;
/** Other escape sequences: CSI, OSC (to its end) and two-character ones. They are dropped, as a terminal would not print them. */
const otherEscapes = /\u001b(?:\[[0-?]*[ -/]*[@-ln-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g;
/** C0 without tab and newline, DEL, C1, and the marks that reorder or hide text. */
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;

/** The same without the place that a global expression remembers. */
const anyControl = new RegExp(controls.source);

const colourNames = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

/** The pieces of a line; `terms` is what to mark, `oneLine` shows line breaks as a sign. */
export function linePieces(line: string, terms: RegExp | undefined, oneLine: boolean): readonly Piece[] {
  if (terms === undefined && !anyControl.test(line))
    return [{ text: oneLine ? joinLines(line) : line, style: "", marked: false }];
  const pieces: Piece[] = [];
  for (const { text, style } of styledRuns(line)) {
    const shown = oneLine ? joinLines(text) : text;
    for (const [part, marked] of markedParts(shown, terms)) pushEscaped(pieces, part, style, marked);
  }
  return pieces;
}

/** A line without colours and with escapes visible: what is copied and exported stays the original, this is for labels. */
export function plainLine(line: string): string {
  return linePieces(line, undefined, true)
    .map(({ text }) => text)
    .join("");
}

/** How a control character is written out: `\x1b`, `\u202e`. */
function escaped(character: string): string {
  const code = character.charCodeAt(0);
  if (code === 0x0d) return "\\r";
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`;
}

function joinLines(text: string): string {
  return text.includes("\n") ? text.replace(/\r?\n/g, " ⏎ ") : text;
}

/** Cuts a line at its colour changes. */
function styledRuns(line: string): readonly { readonly text: string; readonly style: string }[] {
  const clean = line.includes("\u001b") ? line.replace(otherEscapes, "") : line;
  if (!clean.includes("\u001b")) return [{ text: clean, style: "" }];
  const runs: { text: string; style: string }[] = [];
  const state = { colour: "", back: "", bold: false, dim: false, italic: false, underline: false };
  let start = 0;
  const push = (end: number): void => {
    if (end > start) runs.push({ text: clean.slice(start, end), style: classesOf(state) });
  };
  for (const match of clean.matchAll(graphicRendition)) {
    push(match.index);
    start = match.index + match[0].length;
    apply(state, match[1] ?? "");
  }
  push(clean.length);
  return runs;
}

interface Rendition {
  colour: string;
  back: string;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
}

function apply(state: Rendition, parameters: string): void {
  const codes = parameters.split(/[;:]/).map(Number);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] ?? 0;
    if (code === 0)
      Object.assign(state, { colour: "", back: "", bold: false, dim: false, italic: false, underline: false });
    else if (code === 1) state.bold = true;
    else if (code === 2) state.dim = true;
    else if (code === 3) state.italic = true;
    else if (code === 4) state.underline = true;
    else if (code === 22) state.bold = state.dim = false;
    else if (code === 23) state.italic = false;
    else if (code === 24) state.underline = false;
    else if (code >= 30 && code <= 37) state.colour = colourNames[code - 30] ?? "";
    else if (code === 38 || code === 48) {
      // Extended colours: `5;n` keeps the sixteen named ones and drops the rest, which no theme could keep legible.
      const named = codes[at + 1] === 5 ? (codes[at + 2] ?? 16) : 16;
      if (code === 38) state.colour = named < 16 ? (colourNames[named % 8] ?? "") : "";
      at += codes[at + 1] === 5 ? 2 : 4;
    } else if (code === 39) state.colour = "";
    else if (code >= 40 && code <= 47) state.back = colourNames[code - 40] ?? "";
    else if (code === 49) state.back = "";
    else if (code >= 90 && code <= 97) state.colour = colourNames[code - 90] ?? "";
  }
}

function classesOf(state: Rendition): string {
  const classes = [];
  if (state.colour !== "") classes.push(`ansi-${state.colour}`);
  if (state.back !== "") classes.push("ansi-back");
  if (state.bold) classes.push("ansi-bold");
  if (state.dim) classes.push("ansi-dim");
  if (state.italic) classes.push("ansi-italic");
  if (state.underline) classes.push("ansi-underline");
  return classes.join(" ");
}

function* markedParts(text: string, terms: RegExp | undefined): Generator<readonly [string, boolean]> {
  if (terms === undefined) {
    yield [text, false];
    return;
  }
  let start = 0;
  for (const match of text.matchAll(terms)) {
    if (match[0] === "") continue;
    if (match.index > start) yield [text.slice(start, match.index), false];
    yield [match[0], true];
    start = match.index + match[0].length;
  }
  if (start < text.length) yield [text.slice(start), false];
}

function pushEscaped(pieces: Piece[], text: string, style: string, marked: boolean): void {
  let start = 0;
  for (const match of text.matchAll(controls)) {
    if (match.index > start) pieces.push({ text: text.slice(start, match.index), style, marked });
    pieces.push({ text: escaped(match[0]), style: "escape", marked });
    start = match.index + 1;
  }
  if (start < text.length) pieces.push({ text: text.slice(start), style, marked });
}
