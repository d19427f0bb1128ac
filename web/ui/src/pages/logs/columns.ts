/** The columns of the list as they stand in an address: names, each with its width where somebody gave one. Pure. */

export interface Column {
  readonly name: string;
  /** In pixels; undefined lets the list decide. */
  readonly width?: number;
}

/** Narrower ones show nothing, and wider ones leave no room for the message. */
const widthMin = 40;
const widthMax = 1200;

/** Reads `service,host~140`. */
export function readColumns(text: string): readonly Column[] {
  return text
    .split(",")
    .map((part): Column => {
      const match = /^(.+)~(\d+)$/.exec(part);
      return match === null ? { name: part } : { name: match[1] ?? "", width: within(Number(match[2])) };
    })
    .filter(({ name }, at, all) => name !== "" && all.findIndex((other) => other.name === name) === at);
}

export function writeColumns(columns: readonly Column[]): string {
  return columns.map(({ name, width }) => (width === undefined ? name : `${name}~${width}`)).join(",");
}

/** The columns with one of them as wide as this. */
export function resized(columns: readonly Column[], name: string, width: number): readonly Column[] {
  return columns.map((column) => (column.name === name ? { name, width: within(width) } : column));
}

/** The columns with one of them moved by so many places. */
export function moved(columns: readonly Column[], name: string, by: number): readonly Column[] {
  const from = columns.findIndex((column) => column.name === name);
  const column = columns[from];
  if (column === undefined) return columns;
  const rest = columns.filter((other) => other !== column);
  rest.splice(Math.max(0, Math.min(rest.length, from + by)), 0, column);
  return rest;
}

function within(width: number): number {
  return Math.round(Math.min(widthMax, Math.max(widthMin, width)));
}
