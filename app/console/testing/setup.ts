import { cleanup } from "@testing-library/react";
import { afterEach, vi } from "vitest";

// What jsdom leaves out of dialogs and popovers: being open or closed.
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
