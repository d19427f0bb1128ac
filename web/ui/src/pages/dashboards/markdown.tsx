/**
 * A small part of Markdown: headings, lists, code, bold, italics, links to pages. Nothing is ever set as HTML, so whatever a
 * text holds stays text.
 */
import type { ComponentChildren } from "preact";

export function Markdown({ text }: { readonly text: string }) {
  return <div class="markdown">{blocksOf(text).map((block, index) => drawn(block, index))}</div>;
}

export type Block =
  | { readonly kind: "heading"; readonly level: number; readonly text: string }
  | { readonly kind: "list"; readonly ordered: boolean; readonly items: readonly string[] }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "paragraph"; readonly text: string };

/** The blocks of a text, from the top. */
export function blocksOf(text: string): readonly Block[] {
  const blocks: Block[] = [];
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const heading = /^(#{1,4})\s+(.*)$/.exec(line);
    const item = /^\s*(?:([-*+])|(\d+)[.)])\s+(.*)$/.exec(line);
    if (line.startsWith("```")) {
      const code: string[] = [];
      while (at + 1 < lines.length && !(lines[at + 1] ?? "").startsWith("```")) code.push(lines[(at += 1)] ?? "");
      at += 1;
      blocks.push({ kind: "code", text: code.join("\n") });
    } else if (heading !== null) {
      blocks.push({ kind: "heading", level: heading[1]?.length ?? 1, text: heading[2] ?? "" });
    } else if (item !== null) {
      const ordered = item[2] !== undefined;
      const last = blocks.at(-1);
      const follows = last?.kind === "list" && last.ordered === ordered && (lines[at - 1] ?? "").trim() !== "";
      if (follows) blocks[blocks.length - 1] = { ...last, items: [...last.items, item[3] ?? ""] };
      else blocks.push({ kind: "list", ordered, items: [item[3] ?? ""] });
    } else if (line.trim() !== "") {
      const last = blocks.at(-1);
      const follows = last?.kind === "paragraph" && (lines[at - 1] ?? "").trim() !== "";
      if (follows) blocks[blocks.length - 1] = { kind: "paragraph", text: `${last.text} ${line.trim()}` };
      else blocks.push({ kind: "paragraph", text: line.trim() });
    }
  }
  return blocks;
}

function drawn(block: Block, key: number) {
  switch (block.kind) {
    case "heading":
      return (
        <p
          key={key}
          class={`markdown-heading markdown-heading-${block.level}`}
          role="heading"
          aria-level={block.level + 2}
        >
          {inline(block.text)}
        </p>
      );
    case "list": {
      const items = block.items.map((item, at) => <li key={at}>{inline(item)}</li>);
      return block.ordered ? <ol key={key}>{items}</ol> : <ul key={key}>{items}</ul>;
    }
    case "code":
      return <pre key={key}>{block.text}</pre>;
    case "paragraph":
      return <p key={key}>{inline(block.text)}</p>;
  }
}

function inline(text: string): ComponentChildren {
  const parts: ComponentChildren[] = [];
  let at = 0;
  for (const match of text.matchAll(/`([^`]+)`|\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*|\[([^\]]+)\]\(([^)\s]+)\)/g)) {
    parts.push(text.slice(at, match.index));
    const [whole, code, bold, slanted, label, address] = match;
    if (code !== undefined) parts.push(<code>{code}</code>);
    else if (bold !== undefined) parts.push(<strong>{bold}</strong>);
    else if (slanted !== undefined) parts.push(<em>{slanted}</em>);
    else if (label !== undefined && address !== undefined && isSafe(address)) parts.push(<a href={address}>{label}</a>);
    else parts.push(whole);
    at = match.index + whole.length;
  }
  parts.push(text.slice(at));
  return parts;
}

/** Only pages: `javascript:` and the like stay text. */
export function isSafe(address: string): boolean {
  return /^(https?:\/\/|\/(?!\/)|#)/i.test(address);
}
