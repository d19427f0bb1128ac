/** Settings as texts. */
import type { Setting, SettingValue } from "../../api/settings";

/** A value for eyes. */
export function shown(value: SettingValue): string {
  if (value === null) return "–";
  if (typeof value === "string") return value === "" ? '""' : value;
  if (Array.isArray(value))
    return value.length === 0 ? "none" : value.map((one) => shown(one as SettingValue)).join(", ");
  if (typeof value === "object")
    return Object.entries(value)
      .map(([name, inner]) => `${name} = ${shown(inner as SettingValue)}`)
      .join(", ");
  return typeof value === "number" ? value.toLocaleString("en-US") : String(value);
}

/** The setting as it stands in the file: below its section's heading. */
export function tomlLine({ key, value }: Setting): string {
  const cut = key.lastIndexOf(".");
  return `[${key.slice(0, cut)}]\n${key.slice(cut + 1)} = ${JSON.stringify(value ?? "")}\n`;
}
