/** Starts Debian's Chromium without a window and without its own talk to the network. */
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const executables = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const switches = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The browser's program, or undefined when there is none. */
export function browserProgram() {
  return executables.find((path) => path !== undefined && existsSync(path));
}

export function launchBrowser() {
  const executablePath = browserProgram();
  if (executablePath === undefined)
    throw new Error("Chromium is missing: apt-get install chromium, or set CHROMIUM to its program");
  return chromium.launch({ executablePath, args: switches });
}
