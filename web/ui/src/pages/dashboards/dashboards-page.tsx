/** The Dashboards page: the list at `/d`, one of them at `/d/{slug}`, and one that is not stored yet at `/d?new=1`. */
import { useEffect } from "preact/hooks";
import "../../styles/dashboards.css";
import { place } from "../../app/location";
import { BoardPage } from "./board-page";
import * as state from "./board-state";
import { DashboardList } from "./dashboard-list";

export function DashboardsPage() {
  const { path } = place.value;
  useEffect(() => () => state.dropDraft(), []);
  if (path !== "/d" && !path.startsWith("/d/")) return null;
  return state.slug.value === "" && !state.isNew.value ? <DashboardList /> : <BoardPage key={state.slug.value} />;
}
