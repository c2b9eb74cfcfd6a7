import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

// Enough for a busy machine.
configure({ asyncUtilTimeout: 5000 });

// jsdom does not implement the open state of dialogs and popovers, and ignores `popovertarget`.
HTMLDialogElement.prototype.showModal = function showModal() {
  this.open = true;
};
HTMLDialogElement.prototype.close = function close() {
  this.open = false;
};
const toggle = (panel: HTMLElement, newState: "open" | "closed") => {
  if ((panel.dataset.state ?? "closed") !== newState) {
    panel.dataset.state = newState;
    panel.dispatchEvent(Object.assign(new Event("toggle"), { newState }));
  }
};
HTMLElement.prototype.showPopover = function showPopover() {
  toggle(this, "open");
};
HTMLElement.prototype.hidePopover = function hidePopover() {
  toggle(this, "closed");
};

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  window.history.replaceState(null, "", "/");
  localStorage.clear();
  sessionStorage.clear();
});
