/** The server's clock as seen from here: relative ranges are read by it, since the records' times are. */

let offsetMs = 0;

/** Learns the server's clock from its answer; the way back is taken as instant. */
export function learnServerTime(rfc3339: string): void {
  const server = Date.parse(rfc3339);
  if (Number.isFinite(server)) offsetMs = server - Date.now();
}

/** Milliseconds since 1970 on the server's clock. */
export function serverNow(): number {
  return Date.now() + offsetMs;
}
