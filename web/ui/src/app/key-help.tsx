/** The list of keys that work where the reader is, as a dialog. */
import { useEffect, useRef } from "preact/hooks";
import { CloseIcon } from "./icons";
import { boundKeys } from "./key-bindings";
import { keyHelpShown } from "./overlays";
import "../styles/key-help.css";

export function KeyHelp() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="dialog" aria-label="Keys" onClose={() => (keyHelpShown.value = false)}>
      <header class="dialog-head">
        <h2>Keys</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => (keyHelpShown.value = false)}>
          <CloseIcon />
        </button>
      </header>
      <div class="key-groups">
        {boundKeys.value.toReversed().map(({ title, bindings }) => (
          <section key={title}>
            <h3>{title}</h3>
            <dl class="keys">
              {bindings
                .filter(({ sameAs }) => sameAs === undefined)
                .map(({ keys, does }) => (
                  <div key={keys}>
                    <dt>
                      {keys.split(/[ +]/).map((key) => (
                        <kbd key={key}>{key}</kbd>
                      ))}
                    </dt>
                    <dd>{does}</dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </dialog>
  );
}
