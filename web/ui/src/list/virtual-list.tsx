/**
 * A list of any length of which only the visible rows exist. Rows may be taller than assumed: those are measured, and what
 * is being read stays where it is while rows above it grow, or are put before it.
 */
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useMemo, useReducer, useRef } from "preact/hooks";
import { RowGeometry } from "./row-geometry";

/** What the owner can ask of a list on screen. */
export interface ListHandle {
  /** Scrolls the least that shows a row, or puts it in the middle. */
  show(index: number, where?: "near" | "middle"): void;
  toTop(): void;
  /** The first row that is wholly visible. */
  firstVisible(): number;
  focus(): void;
}

export interface VirtualListProps {
  readonly count: number;
  /** Changes when the rows are others than before: the list then starts at its top. */
  readonly generation: number;
  /** How many rows were ever put before the first of this generation. */
  readonly prepended: number;
  readonly rowHeight: number;
  /** Changes when all measures are void, as by other wrapping. */
  readonly layout: string;
  keyOf(index: number): string;
  row(index: number): ComponentChildren;
  /** Whether a row may be taller than assumed. */
  isTall(index: number): boolean;
  onNearEnd?(): void;
  onNearStart?(): void;
  /** Tells whether the list rests at its very top. */
  onScroll?(atTop: boolean): void;
  readonly handle: { current: ListHandle | null };
  readonly label: string;
  readonly header: ComponentChildren;
  readonly active: string | undefined;
  readonly columnCount: number;
}

/** Rows drawn beyond each edge, so that a fast wheel shows no blank. */
const overscan = 12;
/** Pages are fetched when this many rows or fewer lie ahead. */
const nearRows = 150;

export function VirtualList(props: VirtualListProps) {
  const { count, generation, prepended, rowHeight, layout, handle } = props;
  const [, redraw] = useReducer((turn: number, _: undefined) => turn + 1, 0);
  const scroller = useRef<HTMLDivElement>(null);
  const known = useRef({ generation, prepended, layout });
  const scrollTop = useRef(0);
  const viewHeight = useRef(600);
  /** The row at the upper edge and how far it is scrolled over it. */
  const anchor = useRef({ index: 0, offset: 0 });
  const geometry = useRef<RowGeometry | null>(null);
  geometry.current ??= new RowGeometry(rowHeight);
  const rows = geometry.current;

  if (known.current.generation !== generation) {
    rows.resize(0);
    rows.reset(rowHeight);
    anchor.current = { index: 0, offset: 0 };
    scrollTop.current = 0;
  } else if (known.current.prepended < prepended) {
    const added = prepended - known.current.prepended;
    rows.prepend(added);
    if (scrollTop.current > 0) anchor.current = { ...anchor.current, index: anchor.current.index + added };
  }
  if (known.current.layout !== layout) rows.reset(rowHeight);
  known.current = { generation, prepended, layout };
  if (rows.count !== count) rows.resize(count);

  const top = Math.max(
    0,
    Math.min(rows.topOf(anchor.current.index) + anchor.current.offset, rows.total - viewHeight.current),
  );
  const first = Math.max(0, rows.rowAt(top) - overscan);
  const last = Math.min(count, rows.rowAt(top + viewHeight.current) + 1 + overscan);

  // The scroll place follows the anchor, whatever grew above it.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null || Math.abs(element.scrollTop - top) < 1) return;
    scrollTop.current = top;
    element.scrollTop = top;
  });

  const observer = useMemo(() => {
    return new ResizeObserver((entries) => {
      let moved = false;
      for (const entry of entries) {
        const element = entry.target as HTMLElement;
        if (!element.isConnected) continue;
        if (geometry.current?.measure(Number(element.dataset["index"]), element.offsetHeight) === true) moved = true;
      }
      if (moved) redraw(undefined);
    });
  }, []);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    const measureView = (): void => {
      const header = element.firstElementChild instanceof HTMLElement ? element.firstElementChild.offsetHeight : 0;
      viewHeight.current = element.clientHeight - header;
      redraw(undefined);
    };
    const viewObserver = new ResizeObserver(measureView);
    viewObserver.observe(element);
    measureView();
    return () => {
      viewObserver.disconnect();
      observer.disconnect();
    };
  }, []);

  useLayoutEffect(() => {
    if (count > 0 && count - last <= nearRows) props.onNearEnd?.();
    if (count > 0 && first <= nearRows / 3) props.onNearStart?.();
  });

  const scrollTo = (offset: number): void => {
    const limited = Math.max(0, Math.min(offset, rows.total - viewHeight.current));
    const index = rows.rowAt(limited);
    anchor.current = { index, offset: limited - rows.topOf(index) };
    scrollTop.current = limited;
    redraw(undefined);
  };

  handle.current = {
    show(index, where = "near") {
      const rowTop = rows.topOf(index);
      const rowBottom = rowTop + rows.heightOf(index);
      if (where === "middle") scrollTo(rowTop - viewHeight.current / 2.5);
      else if (rowTop < scrollTop.current) scrollTo(rowTop);
      else if (rowBottom > scrollTop.current + viewHeight.current)
        scrollTo(Math.min(rowTop, rowBottom - viewHeight.current));
    },
    toTop: () => scrollTo(0),
    firstVisible: () => Math.min(Math.max(0, count - 1), rows.rowAt(scrollTop.current + 1)),
    focus: () => scroller.current?.focus({ preventScroll: true }),
  };

  const onScroll = (): void => {
    const element = scroller.current;
    if (element === null) return;
    const now = element.scrollTop;
    if (Math.abs(now - scrollTop.current) >= 1) {
      scrollTop.current = now;
      const index = rows.rowAt(now);
      anchor.current = { index, offset: now - rows.topOf(index) };
      redraw(undefined);
    }
    props.onScroll?.(now < 2);
  };

  const drawn = [];
  for (let index = first; index < last; index += 1) {
    drawn.push(
      <ListRow
        key={props.keyOf(index)}
        index={index}
        top={rows.topOf(index)}
        observer={props.isTall(index) ? observer : undefined}
        onFold={() => rows.forget(index)}
      >
        {props.row(index)}
      </ListRow>,
    );
  }
  return (
    <div
      class="list"
      ref={scroller}
      onScroll={onScroll}
      tabIndex={0}
      role="treegrid"
      aria-label={props.label}
      aria-rowcount={count + 1}
      aria-colcount={props.columnCount}
      {...(props.active === undefined ? {} : { "aria-activedescendant": props.active })}
    >
      {props.header}
      <div class="list-rows" role="presentation" style={{ height: `${rows.total}px` }}>
        {drawn}
      </div>
    </div>
  );
}

interface ListRowProps {
  readonly index: number;
  readonly top: number;
  /** Given when the row may be taller than assumed. */
  readonly observer: ResizeObserver | undefined;
  readonly onFold: () => void;
  readonly children: ComponentChildren;
}

/** A row in its place; tall ones report their height. */
function ListRow({ index, top, observer, onFold, children }: ListRowProps) {
  const element = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    const mine = element.current;
    if (observer === undefined || mine === null) return undefined;
    observer.observe(mine);
    return () => observer.unobserve(mine);
  }, [observer, index]);
  const wasTall = useRef(false);
  if (wasTall.current && observer === undefined) onFold();
  wasTall.current = observer !== undefined;
  return (
    <div
      class="list-place"
      role="presentation"
      ref={element}
      data-index={index}
      style={{ transform: `translateY(${top}px)` }}
    >
      {children}
    </div>
  );
}
