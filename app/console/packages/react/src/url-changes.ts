const listeners = new Set<() => void>();
let stopObserving: (() => void) | undefined;

/**
 * Calls `listener` after every change of the URL of this page, also by `pushState` and `replaceState`. Returns the function
 * that stops listening.
 */
export function onUrlChange(listener: () => void): () => void {
  listeners.add(listener);
  stopObserving ??= observe(notify);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      stopObserving?.();
      stopObserving = undefined;
    }
  };
}

/** Later, so that a router that changes the URL can finish its work before the URL is changed again. */
function notify(): void {
  queueMicrotask(() => {
    for (const listener of [...listeners]) {
      listener();
    }
  });
}

function observe(changed: () => void): () => void {
  const { navigation } = window as { navigation?: EventTarget };
  const targets: [EventTarget | undefined, string][] = [
    [window, "popstate"],
    [window, "hashchange"],
    [navigation, "currententrychange"],
  ];
  for (const [target, type] of targets) {
    target?.addEventListener(type, changed);
  }
  // Browsers without the Navigation API have no event for these.
  const restored = navigation
    ? []
    : [observeCalls("pushState", changed), observeCalls("replaceState", changed)];
  return () => {
    for (const [target, type] of targets) {
      target?.removeEventListener(type, changed);
    }
    for (const restore of restored) {
      restore();
    }
  };
}

function observeCalls(name: "pushState" | "replaceState", changed: () => void): () => void {
  const original = window.history[name];
  const observed: History["pushState"] = function observed(this: History, ...parameters) {
    original.apply(this, parameters);
    changed();
  };
  window.history[name] = observed;
  return () => {
    // Where another script wrapped this function too, it stays and has no effect.
    if (window.history[name] === observed) {
      window.history[name] = original;
    }
  };
}
