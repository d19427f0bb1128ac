/** What the walk through the pages is made of: steps with names, waits that say what they waited for, axe, screenshots. */
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export class Walk {
  #failures = [];
  #steps = [];
  #expectedErrors = [];
  #figures = {};
  #outputDirectory;

  constructor(page, base, outputDirectory) {
    this.page = page;
    this.base = base;
    this.#outputDirectory = outputDirectory;
    page.on("console", (message) => {
      if (message.type() !== "error" && message.type() !== "warning") return;
      if (!this.#expectedErrors.some((expected) => message.text().includes(expected)))
        this.fail("console", `${message.text()} ${message.location().url}`);
    });
    page.on("pageerror", (error) => this.fail("page error", error.message));
    page.on("request", (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith("http") && url.origin !== new URL(base).origin)
        this.fail("external request", request.url());
    });
  }

  get failures() {
    return this.#failures;
  }

  fail(step, message) {
    const failure = `${step}: ${message}`;
    if (this.#failures.includes(failure)) return;
    this.#failures.push(failure);
    console.log(`  FAILED ${failure}`);
  }

  /** Does something under a name; a failure is noted and the walk goes on. */
  async step(name, action) {
    const started = performance.now();
    try {
      await action(this.page);
      const milliseconds = Math.round(performance.now() - started);
      this.#steps.push({ name, milliseconds });
      console.log(`  ${String(milliseconds).padStart(6)} ms  ${name}`);
    } catch (error) {
      this.fail(name, error.message.split("\n").slice(0, 6).join(" "));
      await this.page.screenshot({ path: join(this.#outputDirectory, `failed-${name.replace(/\W+/g, "-")}.png`) });
    }
  }

  /** Lets a console message that holds this text pass while something is done that causes it on purpose. */
  async expecting(text, action) {
    this.#expectedErrors.push(text);
    await action();
    await this.page.waitForTimeout(100);
    this.#expectedErrors.pop();
  }

  async open(path) {
    await this.page.goto(this.base + path);
  }

  /** Waits until a function of ours says true; its name is what the failure says. */
  async until(what, test, timeoutMs = Number(process.env.UNTIL_MS ?? 60_000)) {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const last = await test();
      if (last === true) return;
      if (performance.now() > end)
        throw new Error(`waited ${timeoutMs} ms in vain: ${what} (last: ${JSON.stringify(last)})`);
      await this.page.waitForTimeout(50);
    }
  }

  /** Keeps what was measured for the report. */
  figure(name, value) {
    this.#figures[name] = value;
  }

  check(condition, message) {
    if (!condition) throw new Error(message);
  }

  /** Runs axe on the page as it is. */
  async axe(name) {
    // Through the debugger and not as a script element: the page's policy allows no script but its own.
    await this.page.evaluate(axeSource);
    const violations = await this.page.evaluate(async () => {
      const result = await window.axe.run(document, { resultTypes: ["violations"] });
      return result.violations.map(({ id, impact, nodes }) => ({
        id,
        impact,
        nodes: nodes.slice(0, 4).map(({ html, failureSummary }) => ({ html: html.slice(0, 160), failureSummary })),
      }));
    });
    for (const violation of violations)
      this.fail(`axe on ${name}`, `${violation.id} (${violation.impact}): ${JSON.stringify(violation.nodes)}`);
    this.#steps.push({ name: `axe on ${name}`, violations: violations.length });
  }

  /** Writes a measured number down; nothing depends on it. */
  figure(name, value) {
    this.#steps.push({ name, value });
    console.log(`  ${String(value).padStart(6)}     ${name}`);
  }

  async screenshot(name) {
    await this.page.screenshot({ path: join(this.#outputDirectory, `${name}.png`) });
  }

  /** Fails when anything reaches beyond the right edge of the window. */
  async nothingOverflows(name) {
    const widest = await this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    if (widest > 0) this.fail(`layout of ${name}`, `the page is ${widest} pixels wider than the window`);
  }

  writeReport() {
    writeFileSync(
      join(this.#outputDirectory, "report.json"),
      `${JSON.stringify({ base: this.base, steps: this.#steps, figures: this.#figures, failures: this.#failures }, null, 2)}\n`,
    );
  }
}
