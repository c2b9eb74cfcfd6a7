import { cleanup, configure } from "@testing-library/react";
import { afterEach, vi } from "vitest";

// Enough for a busy machine.
configure({ asyncUtilTimeout: 5000 });

// jsdom does not implement the open state of dialogs and popovers.
HTMLDialogElement.prototype.showModal = function showModal() {
  this.open = true;
};
HTMLDialogElement.prototype.close = function close() {
  this.open = false;
};
HTMLElement.prototype.hidePopover = () => {};

afterEach(() => {
  cleanup();
  vi.useRealTimers();
  window.history.replaceState(null, "", "/");
  localStorage.clear();
});
