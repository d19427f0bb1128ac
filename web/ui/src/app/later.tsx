/** Parts of the page whose code is fetched when they are first shown, so that the first visit does not pay for them. */
import { signal } from "@preact/signals";
import type { ComponentType, FunctionComponent } from "preact";

interface Later<Props> extends FunctionComponent<Props> {
  /** Fetches the code before anybody asks for it. */
  preload(): void;
}

/** A component that is empty until its code has come. A fetch that failed is tried again by the next that shows it. */
export function later<Props extends object>(load: () => Promise<ComponentType<Props>>): Later<Props> {
  const loaded = signal<ComponentType<Props> | undefined>(undefined);
  let asked = false;
  const preload = (): void => {
    if (asked) return;
    asked = true;
    load().then(
      (component) => {
        loaded.value = component;
      },
      () => {
        asked = false;
      },
    );
  };
  const Shown = (props: Props) => {
    preload();
    const Component = loaded.value;
    return Component === undefined ? null : <Component {...props} />;
  };
  return Object.assign(Shown, { preload });
}
