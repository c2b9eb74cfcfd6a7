"use strict";

// The script of the callback's result page. Everything it knows stands in data attributes; nothing it says is secret.
// The message is a hint: whoever hears it asks the server.

(() => {
  const CHANNEL = "oauth_flow_completed";
  const VERSION = 1;
  const SECONDS_BEFORE_CLOSING = 3;
  // A tab that may not be closed stays; so much later we know.
  const GRACE_MS = 400;

  const result = document.getElementById("result");
  if (!result) {
    return;
  }
  const { flowId, connectorId, status, error } = result.dataset;
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
    const message = { version: VERSION, flowId, connectorId, status };
    if (error) {
      message.error = error;
    }
    try {
      const channel = new BroadcastChannel(CHANNEL);
      channel.postMessage(message);
      channel.close();
    } catch {
      // No channel here: the page that waits asks the server by itself.
    }
  }

  function countDown(seconds) {
    if (seconds === 0) {
      tryToClose();
      return;
    }
    say(seconds === 1 ? "This tab closes in 1 second." : `This tab closes in ${seconds} seconds.`);
    setTimeout(() => countDown(seconds - 1), 1000);
  }

  function tryToClose() {
    window.close();
    setTimeout(() => {
      say("You can close this tab now.");
      if (close) {
        close.hidden = true;
      }
    }, GRACE_MS);
  }

  function say(text) {
    if (closing) {
      closing.textContent = text;
    }
  }
})();
