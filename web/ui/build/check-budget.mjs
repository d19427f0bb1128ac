/**
 * Keeps the page small: fails the build when what a first visit loads (the entry, what it imports at once, the style
 * sheets, and the Logs page, which most visits open) is larger than the budget, measured with gzip at level 9.
 */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** Bytes of gzip that the first visit may cost: the design's promise for the shell. */
const shellBytesMax = 45 * 1024;

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const manifestPath = join(dist, "manifest.json");
const manifest = JSON.parse(readFileSync(manifestPath, "utf8"));

const shell = new Set();
collect("index.html", shell);
const lazy = new Set();
for (const [name, chunk] of Object.entries(manifest)) {
  if (chunk.isDynamicEntry) collect(name, lazy);
}
for (const name of Object.keys(manifest)) {
  if (name.endsWith("pages/logs/logs-page.tsx")) collect(name, shell);
}
for (const file of shell) lazy.delete(file);

const shellBytes = report("shell with the Logs page", shell);
report("loaded when a page asks for it", lazy);
rmSync(manifestPath);
if (shellBytes > shellBytesMax) {
  console.error(`The shell is ${shellBytes} bytes of gzip, more than its budget of ${shellBytesMax}.`);
  process.exit(1);
}

/** Adds the files of a chunk and of all that it imports statically. */
function collect(name, files) {
  const chunk = manifest[name];
  if (chunk === undefined || files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const style of chunk.css ?? []) files.add(style);
  for (const imported of chunk.imports ?? []) collect(imported, files);
}

/** Prints the files with their sizes and returns the sum of their gzip bytes. */
function report(title, files) {
  let sum = 0;
  console.log(`${title}:`);
  for (const file of [...files].sort()) {
    const bytes = gzipSync(readFileSync(join(dist, file)), { level: 9 }).length;
    sum += bytes;
    console.log(`  ${String(bytes).padStart(7)}  ${file}`);
  }
  console.log(`  ${String(sum).padStart(7)}  bytes of gzip`);
  return sum;
}
