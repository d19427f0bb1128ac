/** Short messages that say what an action did ("Link copied"), read out politely, gone by themselves. */
import { signal } from "@preact/signals";

const shownMs = 2600;
const message = signal("");
let timer: ReturnType<typeof setTimeout> | undefined;

export function toast(text: string): void {
  message.value = text;
  clearTimeout(timer);
  timer = setTimeout(() => {
    message.value = "";
  }, shownMs);
}

export function Toast() {
  return (
    <div class={message.value === "" ? "toast" : "toast toast-shown"} role="status" aria-live="polite">
      {message.value}
    </div>
  );
}
