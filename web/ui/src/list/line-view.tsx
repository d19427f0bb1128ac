/** A log line on the page: its pieces as text nodes, so that nothing stored is ever read as markup. */
import type { ComponentChildren } from "preact";
import { linePieces } from "./line-text";

/** A row shows no more than this of one line; the rest is in the row's detail. */
const rowCharactersMax = 1200;
/** The detail shows no more than this at once. */
export const detailCharactersMax = 100_000;

interface LineViewProps {
  readonly text: string;
  readonly terms: RegExp | undefined;
  readonly oneLine: boolean;
  readonly charactersMax?: number;
}

export function LineView({ text, terms, oneLine, charactersMax = rowCharactersMax }: LineViewProps) {
  const shown = text.length > charactersMax ? text.slice(0, charactersMax) : text;
  const pieces: ComponentChildren[] = linePieces(shown, terms, oneLine).map(({ text, style, marked }) => {
    if (marked) return <mark class={style}>{text}</mark>;
    return style === "" ? text : <span class={style}>{text}</span>;
  });
  if (shown !== text) pieces.push(<span class="escape"> … {text.length - shown.length} more characters</span>);
  return <>{pieces}</>;
}
