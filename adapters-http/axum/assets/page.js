"use strict";

// The script of the pages that people act on: log-in, confirm, launch, and the plain list of connectors.
// Addresses come from data attributes that the server wrote; answers are written as text, never as markup.

(() => {
  const page = document.querySelector("[data-page]");
  if (!page) {
    return;
  }
  const status = document.getElementById("status");
  let busy = false;

  const pages = { login, confirm, launch, home };
  pages[page.dataset.page]?.();

  // Log-in: sends the form as JSON, then goes where the person wanted to be.
  function login() {
    const form = page.querySelector("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { username, password } = Object.fromEntries(new FormData(form));
      once(form.querySelector("button"), async () => {
        await send("POST", page.dataset.session, { username, password });
        window.location.replace(page.dataset.next);
      });
    });
  }

  // Confirm: nothing happens before the click.
  function confirm() {
    const button = document.getElementById("start");
    button.addEventListener("click", () => once(button, start));
  }

  // Launch: waits for the page that opened this one to hand over its flow in the fragment; the button starts one instead.
  function launch() {
    const button = document.getElementById("start");
    button.addEventListener("click", () => once(button, start));
    window.addEventListener("hashchange", follow);
    if (!follow() && window.opener) {
      say("Opening the provider…");
    }
  }

  function follow() {
    const flow = window.location.hash.slice(1);
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(flow)) {
      return false;
    }
    leave(flow);
    return true;
  }

  async function start() {
    say("Opening the provider…");
    const { flowId } = await send("POST", page.dataset.start, {});
    leave(flowId);
  }

  // The server checks person and browser once more, and redirects to the provider.
  function leave(flow) {
    // The provider's page must not be able to navigate the page that opened this one.
    window.opener = null;
    window.location.replace(`${page.dataset.launch}?flow=${encodeURIComponent(flow)}`);
  }

  // The list: disconnect and log out.
  function home() {
    for (const button of page.querySelectorAll("button[data-disconnect]")) {
      button.addEventListener("click", () =>
        once(button, async () => {
          await send("POST", button.dataset.disconnect);
          window.location.reload();
        }),
      );
    }
    const logOut = document.getElementById("log-out");
    logOut?.addEventListener("click", () =>
      once(logOut, async () => {
        await send("DELETE", page.dataset.session);
        window.location.reload();
      }),
    );
  }

  // One thing at a time; a failure is said in words and leaves the button usable.
  async function once(button, action) {
    if (busy) {
      return;
    }
    busy = true;
    button.setAttribute("aria-disabled", "true");
    say("");
    try {
      await action();
    } catch (error) {
      say(error.message);
      button.removeAttribute("aria-disabled");
      busy = false;
    }
  }

  async function send(method, url, body) {
    const request = { method, credentials: "same-origin", cache: "no-store", redirect: "error", headers: {} };
    if (body !== undefined) {
      request.headers["content-type"] = "application/json";
      request.body = JSON.stringify(body);
    }
    let response;
    try {
      response = await fetch(url, request);
    } catch {
      throw new Error("The server does not answer. Try again.");
    }
    if (response.status === 204) {
      return undefined;
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) {
      const reference = answer.correlation_id ? ` (${answer.code}, ${answer.correlation_id})` : "";
      throw new Error(`${answer.detail ?? "That did not work."}${reference}`);
    }
    return answer;
  }

  function say(text) {
    if (status) {
      status.textContent = text;
    }
  }

  // A page that comes back from the history is as good as new.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      window.location.reload();
    }
  });
})();
