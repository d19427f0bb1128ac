/** Queries that were run from this browser, newest first. */
import { rememberedList } from "../app/preferences";

const list = rememberedList("history", 50);

export const queryHistory = list.values;

export function rememberQuery(query: string): void {
  if (query.trim() !== "") list.add(query.trim());
}
