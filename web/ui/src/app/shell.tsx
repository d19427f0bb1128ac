/**
 * The frame of every page: rail of pages on the left (below, on a phone), the page in the middle, the status foot. Pages
 * are fetched when they are first opened.
 */
import { signal, useSignalEffect } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect } from "preact/hooks";
import { go, place } from "./location";
import { bindKeys } from "./key-bindings";
import { later } from "./later";
import { keyHelpShown, paletteShown } from "./overlays";
import { AutoIcon, KeyboardIcon, MoonIcon, SearchIcon, SunIcon } from "./icons";
import { theme, zone, type Theme } from "./preferences";
import { pageStatus } from "./page-status";
import { pageAt, pages, type PageEntry } from "./pages";
import { StatusFoot } from "./status-foot";
import { Toast } from "./toast";

const KeyHelp = later(async () => (await import("./key-help")).KeyHelp);
const Palette = later(async () => (await import("./palette")).Palette);

const loaded = signal<ReadonlyMap<string, ComponentType>>(new Map());
const loadFailure = signal("");
/** The page shown last: what its foot says goes when another is shown. */
let lastEntry: PageEntry | undefined;

export function Shell() {
  const shown = pageAt(place.value.path);
  useSignalEffect(() => {
    const entry = pageAt(place.value.path);
    if (entry === lastEntry) return;
    lastEntry = entry;
    pageStatus.value = {};
    if (entry === undefined) return;
    if (!loaded.peek().has(entry.path)) void loadPage(entry);
  });
  useEffect(
    () =>
      bindKeys("Everywhere", [
        ...pages.map(({ key, label, path, start }) => ({
          keys: `g ${key}`,
          does: `Go to ${label}`,
          run: () => go(start ?? path),
        })),
        { keys: "?", does: "Show these keys", run: () => (keyHelpShown.value = !keyHelpShown.peek()) },
        { keys: "Ctrl+k", does: "Go anywhere, do anything", run: () => (paletteShown.value = true) },
      ]),
    [],
  );
  const Page = shown === undefined ? undefined : loaded.value.get(shown.path);
  return (
    <div class="shell">
      <nav class="rail" aria-label="Pages">
        <a class="rail-mark" href="/" aria-label="Taffrail" title="Taffrail">
          <img src="/icon.svg" alt="" width="26" height="26" />
        </a>
        {pages.map(({ path, start, label, key, icon: Icon }) => (
          <a
            key={path}
            class="rail-link"
            href={start ?? path}
            title={`${label} (g ${key})`}
            aria-current={shown?.path === path ? "page" : undefined}
          >
            <Icon />
            <span>{label}</span>
          </a>
        ))}
        <span class="rail-space" />
        <RailChoices />
      </nav>
      <div class="page">
        {shown === undefined ? (
          <NoSuchPage />
        ) : loadFailure.value !== "" ? (
          <NotLoaded />
        ) : Page === undefined ? (
          <div class="page-waiting" />
        ) : (
          <Page />
        )}
      </div>
      <StatusFoot />
      <Toast />
      {keyHelpShown.value && <KeyHelp />}
      {paletteShown.value && <Palette />}
    </div>
  );
}

function RailChoices() {
  const next: Readonly<Record<Theme, Theme>> = { auto: "light", light: "dark", dark: "auto" };
  const Icon = { auto: AutoIcon, light: SunIcon, dark: MoonIcon }[theme.value];
  return (
    <div class="rail-choices">
      <button
        type="button"
        class="rail-button"
        title="Time zone of everything shown"
        onClick={() => (zone.value = zone.value === "utc" ? "local" : "utc")}
      >
        {zone.value === "utc" ? "UTC" : "Local"}
        <span class="visually-hidden"> time, switch</span>
      </button>
      <button
        type="button"
        class="rail-button"
        title={`Theme: ${theme.value}`}
        onClick={() => (theme.value = next[theme.value])}
      >
        <Icon />
        <span class="visually-hidden">Theme: {theme.value}, switch</span>
      </button>
      <button
        type="button"
        class="rail-button"
        title="Go anywhere, do anything (Ctrl-K)"
        onClick={() => (paletteShown.value = true)}
      >
        <SearchIcon />
        <span class="visually-hidden">Open the palette</span>
      </button>
      <button type="button" class="rail-button" title="Keys (?)" onClick={() => (keyHelpShown.value = true)}>
        <KeyboardIcon />
        <span class="visually-hidden">Show the keys</span>
      </button>
    </div>
  );
}

function NoSuchPage() {
  return (
    <main class="notice">
      <h1>There is no page here</h1>
      <p>
        The address {place.value.path} leads nowhere. <a href="/logs">Search the logs</a> or go <a href="/">home</a>.
      </p>
    </main>
  );
}

function NotLoaded() {
  return (
    <main class="notice">
      <h1>This page could not be loaded</h1>
      <p>The server cannot be reached, or it was updated since this page was opened.</p>
      <button type="button" class="button" onClick={() => window.location.reload()}>
        Reload
      </button>
    </main>
  );
}

async function loadPage(entry: PageEntry): Promise<void> {
  loadFailure.value = "";
  try {
    const page = await entry.load();
    loaded.value = new Map(loaded.peek()).set(entry.path, page);
  } catch {
    loadFailure.value = entry.path;
  }
}
