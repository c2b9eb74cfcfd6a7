/** Elements that the keyboard reaches. Entries of a menu are reached from its button. */
const REACHABLE =
  "a[href], button:not(:disabled, [role=menuitem]), input:not(:disabled), select:not(:disabled), textarea:not(:disabled)";

interface Visited {
  /** The dialog around the element that had the focus; null outside of dialogs. */
  dialog: HTMLDialogElement | null;
  /** That element and its ancestors; empty after a click elsewhere. */
  path: readonly Element[];
}

/**
 * Keeps the focus in place when the element that has it is removed: it moves to the first control of the nearest ancestor
 * with `data-keeps-focus`. Browsers move it to the start of the page instead. Returns the function that stops it.
 */
export function keepFocus(): () => void {
  // The last element with the focus on the page, then in each dialog that was opened above it.
  const visited: Visited[] = [];

  const remember = ({ target }: FocusEvent) => {
    if (target instanceof Element && target !== document.body) {
      const dialog = target.closest("dialog");
      forgetAbove(visited, dialog);
      visited.push({ dialog, path: ancestorsOf(target) });
    }
  };
  const forget = ({ target }: Event) => {
    const dialog = target instanceof Element ? target.closest("dialog") : null;
    forgetAbove(visited, dialog);
  };
  const observer = new MutationObserver(() => {
    if (hasFocus()) {
      return;
    }
    while (visited.length > 0 && isClosed(visited.at(-1)?.dialog)) {
      visited.pop();
    }
    const path = visited.at(-1)?.path ?? [];
    const [element] = path;
    if (element?.isConnected && element instanceof HTMLElement) {
      element.focus();
    } else {
      replacementOf(path)?.focus();
    }
  });

  document.addEventListener("focusin", remember);
  document.addEventListener("pointerdown", forget);
  observer.observe(document.body, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ["open", "disabled"],
  });
  return () => {
    document.removeEventListener("focusin", remember);
    document.removeEventListener("pointerdown", forget);
    observer.disconnect();
  };
}

/** Moves the focus to the first control of an element that the keyboard reaches. */
export function focusFirstIn(region: Element | null | undefined): void {
  firstReachable(region)?.focus();
}

function replacementOf(path: readonly Element[]): HTMLElement | undefined {
  for (const region of path) {
    if (region.isConnected && region.hasAttribute("data-keeps-focus")) {
      const found = firstReachable(region);
      if (found) {
        return found;
      }
      if (region instanceof HTMLElement && region.hasAttribute("tabindex")) {
        return region;
      }
    }
  }
  return undefined;
}

function firstReachable(region: Element | null | undefined): HTMLElement | undefined {
  const all = region?.querySelectorAll<HTMLElement>(REACHABLE) ?? [];
  return [...all].find((element) => element.closest("[popover]") === null);
}

function ancestorsOf(element: Element): Element[] {
  const path: Element[] = [];
  for (let one: Element | null = element; one; one = one.parentElement) {
    path.push(one);
  }
  return path;
}

/** Forgets what had the focus in the dialog, and in dialogs above it. */
function forgetAbove(visited: Visited[], dialog: HTMLDialogElement | null): void {
  const at = visited.findIndex((one) => one.dialog === dialog);
  if (at >= 0) {
    visited.length = at;
  }
}

function isClosed(dialog: HTMLDialogElement | null | undefined): boolean {
  return dialog !== null && dialog !== undefined && !(dialog.isConnected && dialog.open);
}

function hasFocus(): boolean {
  const active = document.activeElement;
  return active !== null && active !== document.body && active.isConnected;
}
