/** What is known of a host, and which come first. */

export interface Host {
  readonly name: string;
  /** Lines of the last ten minutes. */
  readonly lines: number;
  readonly errors: number;
  /** Shares of 1; undefined where the host does not measure itself. */
  readonly cpu: number | undefined;
  readonly memory: number | undefined;
  readonly disk: number | undefined;
  readonly load: number | undefined;
  readonly firing: number;
  readonly isSilent: boolean;
  /** How long nothing has come from it, in seconds; undefined when nobody knows. */
  readonly silentSeconds: number | undefined;
}

/** Alerts first, then silence, then errors, then by name. */
export function worstFirst(one: Host, other: Host): number {
  const rank = ({ firing, isSilent, errors }: Host): number => (firing > 0 ? 0 : isSilent ? 1 : errors > 0 ? 2 : 3);
  return rank(one) - rank(other) || one.name.localeCompare(other.name);
}
