/** The page's icons, drawn on a 16-unit square with the text's colour. */
import type { ComponentChildren } from "preact";

function icon(children: ComponentChildren) {
  return () => (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const HomeIcon = icon(<path d="M2.5 7.5 8 3l5.5 4.5M4 6.5v6.5h8V6.5M6.5 13V9.5h3V13" />);
export const LogsIcon = icon(<path d="M2.5 3.5h2M6.5 3.5h7M2.5 8h2M6.5 8h7M2.5 12.5h2M6.5 12.5h4" />);
export const MetricsIcon = icon(<path d="M2.5 2.5v11h11M4.5 10.5l3-4 2.5 2 3.5-5" />);
export const BoardsIcon = icon(<path d="M2.5 2.5h5v6h-5zM9.5 2.5h4v3h-4zM9.5 7.5h4v6h-4zM2.5 10.5h5v3h-5z" />);
export const TraceIcon = icon(<path d="M2.5 4h6M5.5 8h6M9 12h4.5M2.5 2.5v3M5.5 6.5v3M9 10.5v3" />);
export const AlertsIcon = icon(
  <path d="M8 2.5c-2.4 0-3.8 1.8-3.8 4.2 0 3-1.2 3.8-1.7 4.8h11c-.5-1-1.7-1.8-1.7-4.8 0-2.4-1.4-4.2-3.8-4.2ZM6.7 13.5c.6.7 2 .7 2.6 0" />,
);
export const IngestIcon = icon(<path d="M8 2.5v6M5.3 6 8 8.7 10.7 6M2.5 9.5v4h11v-4h-3L9.2 11H6.8L5.5 9.5z" />);
export const HostsIcon = icon(<path d="M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.8h.1M5 11.3h.1M8 4.8h3M8 11.3h3" />);
export const SettingsIcon = icon(<path d="M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6M10 3v3M6 10v3" />);
export const SearchIcon = icon(<path d="M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4ZM10.2 10.2l3.3 3.3" />);
export const ClockIcon = icon(<path d="M8 2.3a5.7 5.7 0 1 0 0 11.4A5.7 5.7 0 0 0 8 2.3ZM8 5v3.2l2.2 1.5" />);
export const LiveIcon = icon(<path d="M5.5 3.5v9l7-4.5z" />);
export const PauseIcon = icon(<path d="M5.5 3.5v9M10.5 3.5v9" />);
export const ShareIcon = icon(
  <path d="M6.8 9.2a2.6 2.6 0 0 0 3.7 0l2.2-2.2a2.6 2.6 0 0 0-3.7-3.7L8 4.3M9.2 6.8a2.6 2.6 0 0 0-3.7 0L3.3 9A2.6 2.6 0 0 0 7 12.7l1-1" />,
);
export const DownloadIcon = icon(<path d="M8 2.5v7.5M5 7.2 8 10l3-2.8M3 13.2h10" />);
export const WrapIcon = icon(
  <path d="M2.5 3.5h11M2.5 8h8.7a2.2 2.2 0 0 1 0 4.5H8M9.5 10.8 7.8 12.5l1.7 1.7M2.5 12.5h2.7" />,
);
export const ErrorsIcon = icon(
  <path d="M8 4.2a3.3 3.3 0 0 0-3.3 3.3v2.7a3.3 3.3 0 0 0 6.6 0V7.5A3.3 3.3 0 0 0 8 4.2ZM8 7v6M6 4.4 4.6 2.6M10 4.4l1.4-1.8M4.7 8.5H2M14 8.5h-2.7M5 6 2.8 4.8M11 6l2.2-1.2M5 11l-2.2 1.4M11 11l2.2 1.4" />,
);
export const FacetsIcon = icon(<path d="M2.5 3.5h11M4.5 8h7M6.5 12.5h3" />);
export const PatternsIcon = icon(<path d="M2.5 4h4M9.5 4h4M2.5 8h4M9.5 8h4M2.5 12h4M9.5 12h4M8 2.5v11" />);
export const HistogramIcon = icon(<path d="M3 13.5v-4M6.3 13.5v-7M9.7 13.5v-11M13 13.5v-6" />);
export const CopyIcon = icon(<path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" />);
export const PlusIcon = icon(<path d="M8 3.5v9M3.5 8h9" />);
export const MinusIcon = icon(<path d="M3.5 8h9" />);
export const ColumnIcon = icon(<path d="M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10" />);
export const CloseIcon = icon(<path d="m4 4 8 8M12 4l-8 8" />);
export const LeftIcon = icon(<path d="M9.8 3.5 5.5 8l4.3 4.5" />);
export const RightIcon = icon(<path d="M6.2 3.5 10.5 8l-4.3 4.5" />);
export const DownIcon = icon(<path d="M4 6.2 8 10l4-3.8" />);
export const ZoomOutIcon = icon(
  <path d="M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4ZM10.2 10.2l3.3 3.3M5.2 7h3.6" />,
);
export const FreezeIcon = icon(
  <path d="M8 2v12M2.8 5l10.4 6M13.2 5 2.8 11M6.3 2.8 8 4.3l1.7-1.5M6.3 13.2 8 11.7l1.7 1.5" />,
);
export const SunIcon = icon(
  <path d="M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6ZM8 1.6v1.6M8 12.8v1.6M1.6 8h1.6M12.8 8h1.6M3.5 3.5l1.1 1.1M11.4 11.4l1.1 1.1M12.5 3.5l-1.1 1.1M4.6 11.4l-1.1 1.1" />,
);
export const MoonIcon = icon(<path d="M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8Z" />);
export const AutoIcon = icon(
  <path d="M8 2.3a5.7 5.7 0 1 0 0 11.4A5.7 5.7 0 0 0 8 2.3ZM8 2.3v11.4M8 5h4.8M8 8h5.7M8 11h4.8" />,
);
export const KeyboardIcon = icon(<path d="M1.8 4.5h12.4v7H1.8zM4 7h.1M6.6 7h.1M9.3 7h.1M12 7h.1M5 9.3h6" />);
export const CheckIcon = icon(<path d="m3.5 8.5 3 3 6-7" />);
export const ViewsIcon = icon(<path d="M4 2.5h8v11l-4-3-4 3z" />);
export const CompareIcon = icon(<path d="M2.5 3.5h4v9h-4zM9.5 3.5h4v9h-4zM8 2v12" />);
export const DedupeIcon = icon(<path d="M2.5 3.5h11M2.5 6.5h11M5 10.5h8.5M5 13.5h8.5" />);
