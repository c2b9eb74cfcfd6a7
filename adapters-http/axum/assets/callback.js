"use strict";

// The script of the result page. Its input is in data attributes; nothing it sends is secret.
// The message is a hint: its receivers ask the server for the status.

(() => {
  const CHANNEL = "oauth_flow_completed";
  const VERSION = 1;
  const SECONDS_BEFORE_CLOSING = 3;
  // If the tab is still open after this time, the browser does not allow closing it.
  const GRACE_MS = 400;

  const result = document.getElementById("result");
  if (!result) {
    return;
  }
  const { flowId, connectorId, spaceId, status, statusCode, error } = result.dataset;
  if (status === "continue") {
    // A navigation of this page, with which the browser sends cookies that have SameSite=Strict.
    location.replace(location.pathname + location.search);
    return;
  }
  const closing = document.getElementById("closing");
  const close = document.getElementById("close");

  announce();
  if (close) {
    close.hidden = false;
    close.addEventListener("click", tryToClose);
  }
  if (status === "success") {
    countDown(SECONDS_BEFORE_CLOSING);
  }

  function announce() {
    if (!flowId || !connectorId || !status) {
      return;
    }
    const message = { version: VERSION, flowId, connectorId, spaceId, status, statusCode: Number(statusCode) };
    if (error) {
      message.error = error;
    }
    try {
      const channel = new BroadcastChannel(CHANNEL);
      channel.postMessage(message);
      channel.close();
    } catch {
      // Without a channel the waiting page polls the server.
    }
  }

  function countDown(seconds) {
    if (seconds === 0) {
      tryToClose();
      return;
    }
    showText(seconds === 1 ? result.dataset.closesInOne : result.dataset.closesIn.replace("{seconds}", String(seconds)));
    setTimeout(() => countDown(seconds - 1), 1000);
  }

  function tryToClose() {
    window.close();
    setTimeout(() => {
      showText(result.dataset.mayClose);
      if (close) {
        close.hidden = true;
      }
    }, GRACE_MS);
  }

  function showText(text) {
    if (closing) {
      closing.textContent = text;
    }
  }
})();
