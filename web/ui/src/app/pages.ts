/** The pages there are: where they live, how they stand in the rail, which keys lead there, and the code that draws them, fetched when first opened. */
import type { ComponentType } from "preact";
import {
  AlertsIcon,
  BoardsIcon,
  ErrorsIcon,
  HomeIcon,
  HostsIcon,
  IngestIcon,
  LogsIcon,
  MetricsIcon,
  SettingsIcon,
  TraceIcon,
} from "./icons";

export interface PageEntry {
  /** What its addresses begin with. */
  readonly path: string;
  /** Where its link leads, when that is another address. */
  readonly start?: string;
  readonly label: string;
  readonly key: string;
  readonly icon: ComponentType;
  readonly load: () => Promise<ComponentType>;
}

export const pages: readonly PageEntry[] = [
  {
    path: "/",
    label: "Home",
    key: "h",
    icon: HomeIcon,
    load: async () => (await import("../pages/home/home-page")).HomePage,
  },
  {
    path: "/logs",
    label: "Logs",
    key: "l",
    icon: LogsIcon,
    load: async () => (await import("../pages/logs/logs-page")).LogsPage,
  },
  {
    path: "/explore",
    label: "Metrics",
    key: "m",
    icon: MetricsIcon,
    load: async () => (await import("../pages/metrics/metrics-page")).MetricsPage,
  },
  {
    path: "/d",
    label: "Boards",
    key: "d",
    icon: BoardsIcon,
    load: async () => (await import("../pages/dashboards/dashboards-page")).DashboardsPage,
  },
  {
    path: "/trace",
    start: "/trace/find",
    label: "Traces",
    key: "t",
    icon: TraceIcon,
    load: async () => (await import("../pages/trace/trace-page")).TracePage,
  },
  {
    path: "/alerts",
    label: "Alerts",
    key: "a",
    icon: AlertsIcon,
    load: async () => (await import("../pages/alerts/alerts-page")).AlertsPage,
  },
  {
    path: "/errors",
    label: "Errors",
    key: "e",
    icon: ErrorsIcon,
    load: async () => (await import("../pages/errors/errors-page")).ErrorsPage,
  },
  {
    path: "/hosts",
    label: "Hosts",
    key: "o",
    icon: HostsIcon,
    load: async () => (await import("../pages/hosts/hosts-page")).HostsPage,
  },
  {
    path: "/ingest",
    label: "Ingest",
    key: "i",
    icon: IngestIcon,
    load: async () => (await import("../pages/ingest/ingest-page")).IngestPage,
  },
  {
    path: "/settings",
    label: "Settings",
    key: "s",
    icon: SettingsIcon,
    load: async () => (await import("../pages/settings/settings-page")).SettingsPage,
  },
];

/** The page that draws a path. */
export function pageAt(path: string): PageEntry | undefined {
  return pages.find((entry) =>
    entry.path === "/" ? path === "/" : path === entry.path || path.startsWith(`${entry.path}/`),
  );
}
