/** The selected row beside the list, which goes along with the selection. */
import { CloseIcon } from "../../app/icons";
import { zone } from "../../app/preferences";
import { LogDetail } from "../../list/log-detail";
import { selectedRecord, type ListState } from "./list-state";
import { detailActions } from "./log-list";
import * as state from "./logs-state";

export function SidePanel({ list }: { readonly list: ListState }) {
  void list.selected.value;
  void state.session.version.value;
  const record = selectedRecord(list);
  if (record === undefined) return null;
  return (
    <aside class="logs-side" aria-label="The selected row">
      <button
        type="button"
        class="icon-button logs-side-close"
        aria-label="Close the panel"
        title="Close (o)"
        onClick={() => (list.beside.value = false)}
      >
        <CloseIcon />
      </button>
      <LogDetail
        key={record.id}
        record={record}
        zone={zone.value}
        terms={state.terms.value}
        columns={state.columns.value}
        withContext={list.withContext.value.has(record.id)}
        actions={detailActions}
        onContext={() => list.toggleContext()}
        role="group"
      />
    </aside>
  );
}
