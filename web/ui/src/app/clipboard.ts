/** Copies text and says whether it worked; also hands texts out as files. */
import { toast } from "./toast";

/** Copies and tells; pages without a secure origin have no clipboard API, so the old way is the second try. */
export async function copyText(text: string, what: string): Promise<boolean> {
  let copied = false;
  try {
    await navigator.clipboard.writeText(text);
    copied = true;
  } catch {
    copied = copyBySelection(text);
  }
  toast(copied ? `${what} copied` : `Copying is not allowed here: ${what} was not copied`);
  return copied;
}

/** Saves a text as a file of the reader's. */
export function saveFile(name: string, type: string, text: string): void {
  saveBlob(name, new Blob([text], { type }));
}

export function saveBlob(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser reads the address after this task; it may go once that has begun.
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function copyBySelection(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
