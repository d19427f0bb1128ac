/**
 * One way to ask the server: builds the address, sends, and turns every way of going wrong into a [`Failure`].
 * What the answers mean is left to the files beside this one.
 */
import { answered, failed, type Answer, type Failure } from "./answer";

/** Parameters of a question; those without a value are left out. */
export type Parameters = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The address of a question, relative to the page's origin. */
export function addressOf(path: string, parameters: Parameters = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    if (typeof value === "object") for (const one of value) search.append(name, one);
    else search.append(name, String(value));
  }
  const text = search.toString();
  return text === "" ? path : `${path}?${text}`;
}

/** Asks and returns the open response once its status says that it is an answer. */
export async function open(
  address: string,
  accept: string,
  signal?: AbortSignal,
  method = "GET",
): Promise<Answer<Response>> {
  let response: Response;
  try {
    response = await fetch(address, { method, headers: { accept }, ...(signal === undefined ? {} : { signal }) });
  } catch (cause) {
    return failed(failureOf(cause));
  }
  return response.ok ? answered(response) : failed(await refusalOf(response));
}

/** Asks for a JSON document. Its shape is trusted: server and page come out of the same build. */
export async function getJson<Value>(
  path: string,
  parameters?: Parameters,
  signal?: AbortSignal,
): Promise<Answer<Value>> {
  const opened = await open(addressOf(path, parameters), "application/json", signal);
  if (!opened.ok) return opened;
  try {
    return answered((await opened.value.json()) as Value);
  } catch (cause) {
    return failed(failureOf(cause));
  }
}

/** What a thrown value of `fetch`, or of reading a body, means. */
export function failureOf(cause: unknown): Failure {
  if (cause instanceof DOMException && cause.name === "AbortError") return { kind: "cancelled", message: "Cancelled" };
  if (cause instanceof SyntaxError) return { kind: "malformed", message: "The server's answer could not be read" };
  return { kind: "network", message: "The server cannot be reached" };
}

/** The server's own sentence, from our envelope, from Prometheus', from Alertmanager's bare string or from plain text. */
export async function refusalOf(response: Response): Promise<Failure> {
  const fallback = `${response.status} ${response.statusText}`.trim();
  let text = "";
  try {
    text = await response.text();
  } catch {
    return { kind: "refused", status: response.status, message: fallback };
  }
  try {
    const parsed = JSON.parse(text) as string | { error?: string | { message?: string; column?: number } };
    if (typeof parsed === "string") return { kind: "refused", status: response.status, message: parsed };
    const { error } = parsed;
    if (typeof error === "string") return { kind: "refused", status: response.status, message: error };
    if (typeof error?.message === "string") {
      const column = typeof error.column === "number" ? { column: error.column } : {};
      return { kind: "refused", status: response.status, message: error.message, ...column };
    }
  } catch {
    // Not JSON: a proxy or an old path answered. Its first line is still the best explanation there is.
  }
  const line = text.split("\n", 1)[0]?.slice(0, 200) ?? "";
  return { kind: "refused", status: response.status, message: line === "" || line.startsWith("<") ? fallback : line };
}
