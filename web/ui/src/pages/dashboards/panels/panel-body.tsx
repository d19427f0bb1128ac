/** The inside of a panel: whichever way its answer is shown. */
import { useMemo, useState } from "preact/hooks";
import type { Panel } from "../../../api/dashboards";
import type { AttributeValue } from "../../../api/log-record";
import type { AnswerRow } from "../../../api/logs";
import { hrefOf } from "../../../app/address";
import { go } from "../../../app/location";
import { zone } from "../../../app/preferences";
import { ChartLegend } from "../../../chart/chart-legend";
import { HeatMap } from "../../../chart/heat-map";
import { LineChart, type Mark } from "../../../chart/line-chart";
import { annotations } from "../../../chart/marks";
import { withUnit } from "../../../chart/unit-format";
import { LogRow } from "../../../list/log-row";
import { absoluteRange } from "../../../time/range";
import { setAbsoluteRange, timeRange } from "../../../time/range-state";
import { fullTime } from "../../../time/format";
import type { PanelAnswer, TableColumn } from "../panel-data";
import { levelOf, levelVariable, limitsOf } from "../thresholds";
import { Numbers } from "./numbers";

interface PanelBodyProps {
  readonly panel: Panel;
  readonly title: string;
  readonly answer: PanelAnswer;
  readonly marks: readonly Mark[];
  readonly alone: boolean;
}

/** Pixels of a panel's height: what the grid gives, less the heading. */
const stepPixels = 38;

export function PanelBody(props: PanelBodyProps) {
  const { panel, answer, title, alone } = props;
  switch (answer.kind) {
    case "chart":
      return <ChartBody {...props} answer={answer} />;
    case "heatmap":
      return answer.heat === undefined ? (
        <Empty />
      ) : (
        <HeatMap
          label={title}
          heat={answer.heat}
          range={answer.range}
          unit={panel.unit ?? ""}
          zone={zone.value}
          height={heightOf(panel, alone)}
        />
      );
    case "numbers":
      return answer.lines.length === 0 ? <Empty /> : <Numbers panel={panel} lines={answer.lines} />;
    case "table":
      return <TableBody panel={panel} answer={answer} />;
    case "logs":
      return <LogsBody panel={panel} answer={answer} title={title} />;
  }
}

function Empty() {
  return <p class="muted panel-empty">No values in this time range.</p>;
}

function ChartBody({
  panel,
  title,
  answer,
  marks,
  alone,
}: PanelBodyProps & { readonly answer: Extract<PanelAnswer, { kind: "chart" }> }) {
  const [solo, setSolo] = useState<ReadonlySet<string>>(new Set());
  const { data, range } = answer;
  const limits = useMemo(() => limitsOf(panel.thresholds), [JSON.stringify(panel.thresholds)]);
  if (data.lines.length === 0) return <Empty />;
  const known = new Set(data.lines.flatMap(({ name }) => (solo.has(name) ? [name] : [])));
  const legend = panel.legend ?? "list";
  const forLegend = legend === "none" ? 0 : legend === "table" ? 96 : data.lines.length > 5 ? 42 : 22;
  const unit = panel.unit ?? "";
  return (
    <>
      <LineChart
        label={title}
        data={data}
        range={range}
        unit={unit}
        zone={zone.value}
        solo={known}
        height={Math.max(80, heightOf(panel, alone) - forLegend)}
        draw={panel.draw ?? "lines"}
        scale={panel.scale ?? "linear"}
        gaps={panel.gaps ?? "gap"}
        min={panel.min}
        max={panel.max}
        decimals={panel.decimals}
        limits={limits}
        marks={marks}
        annotations={annotations.value}
        onZoom={setAbsoluteRange}
      />
      {legend !== "none" && (
        <div class={legend === "table" ? "panel-legend panel-legend-table" : "panel-legend"}>
          <ChartLegend
            data={data}
            unit={unit}
            decimals={panel.decimals}
            solo={known}
            brief={legend === "list"}
            onSolo={setSolo}
          />
        </div>
      )}
    </>
  );
}

function TableBody({
  panel,
  answer,
}: {
  readonly panel: Panel;
  readonly answer: Extract<PanelAnswer, { kind: "table" }>;
}) {
  const [sort, setSort] = useState<{ readonly name: string; readonly down: boolean } | undefined>(undefined);
  const { columns, leftOut } = answer;
  const rows = sort === undefined ? answer.rows : sorted(answer.rows, sort);
  if (rows.length === 0) return <Empty />;
  return (
    <div class="panel-scroll" tabIndex={0} role="group" aria-label="Rows">
      <table class="table panel-table">
        <thead>
          <tr>
            {columns.map(({ name, isNumber }) => (
              <th
                key={name}
                scope="col"
                class={isNumber ? "number" : ""}
                aria-sort={sort?.name !== name ? "none" : sort.down ? "descending" : "ascending"}
              >
                <button
                  type="button"
                  class="panel-sort"
                  onClick={() => setSort({ name, down: sort?.name === name ? !sort.down : isNumber })}
                >
                  {name}
                  {sort?.name === name && (sort.down ? " ↓" : " ↑")}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            <tr key={index}>
              {columns.map((column) => (
                <Cell key={column.name} column={column} value={row[column.name]} panel={panel} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {leftOut > 0 && (
        <p class="muted">
          {leftOut} further rows are not shown (limit: {rows.length}).
        </p>
      )}
    </div>
  );
}

function Cell({
  column,
  value,
  panel,
}: {
  readonly column: TableColumn;
  readonly value: AttributeValue | undefined;
  readonly panel: Panel;
}) {
  if (typeof value === "number") {
    const level = levelOf(value, panel.thresholds);
    return (
      <td class="number" style={level === "none" ? {} : { color: `var(${levelVariable(level)})` }}>
        {withUnit(value, panel.unit ?? "", panel.decimals)}
      </td>
    );
  }
  const text = value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
  const isTime = column.name === "time" && /^\d{4}-\d\d-\d\dT/.test(text);
  return (
    <td class={column.isNumber ? "number" : ""}>
      {isTime ? fullTime(Date.parse(text), zone.value).slice(0, 19) : text}
    </td>
  );
}

function sorted(rows: readonly AnswerRow[], { name, down }: { name: string; down: boolean }): readonly AnswerRow[] {
  const compare = (one: AnswerRow, other: AnswerRow): number => {
    const [left, right] = [one[name], other[name]];
    if (typeof left === "number" && typeof right === "number") return left - right;
    return String(left ?? "").localeCompare(String(right ?? ""));
  };
  return rows.toSorted((one, other) => (down ? -compare(one, other) : compare(one, other)));
}

function LogsBody({
  panel,
  answer,
  title,
}: {
  readonly panel: Panel;
  readonly answer: Extract<PanelAnswer, { kind: "logs" }>;
  readonly title: string;
}) {
  const { records, query } = answer;
  if (records.length === 0) return <p class="muted panel-empty">No records in this time range.</p>;
  const columns = panel.columns ?? ["service"];
  const style = { "--fields": columns.length === 0 ? "" : `repeat(${columns.length}, minmax(6ch, 12ch))` };
  return (
    <div class="panel-scroll panel-rows" style={style} role="grid" aria-label={title} tabIndex={0}>
      {records.map((record, index) => (
        <LogRow
          key={record.id}
          record={record}
          index={index}
          columns={columns}
          zone={zone.value}
          withDate={false}
          wrap={false}
          terms={undefined}
          selected={false}
          onToggle={() => go(hrefOf("/logs", { q: query, ...absoluteRange(timeRange.peek()), line: record.id }))}
        />
      ))}
    </div>
  );
}

function heightOf(panel: Panel, alone: boolean): number {
  if (alone) return Math.max(260, window.innerHeight - 260);
  const steps = panel.height ?? 8;
  return steps * stepPixels - 8 - 40;
}
