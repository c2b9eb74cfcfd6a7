"use strict";

// The script of the interactive pages: log-in, confirm, launch, and the list of connectors.
// URLs come from data attributes of the page; responses are written as text, never as markup.

(() => {
  const page = document.querySelector("[data-page]");
  if (!page) {
    return;
  }
  const status = document.getElementById("status");
  // Texts by code, in the language of the page.
  const errors = JSON.parse(page.dataset.errors);
  let busy = false;

  const pages = { login, confirm, launch, home };
  pages[page.dataset.page]?.();

  // Log-in: sends the form as JSON, then opens the requested page.
  function login() {
    const form = page.querySelector("form");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const { username, password } = Object.fromEntries(new FormData(form));
      run(form.querySelector("button"), async () => {
        await send("POST", page.dataset.session, { username, password });
        window.location.replace(page.dataset.next);
      });
    });
  }

  // Confirm: starts a flow on the click.
  function confirm() {
    const button = document.getElementById("start");
    button.addEventListener("click", () => run(button, start));
  }

  // Launch: the opening page passes its flow in the fragment. The button starts a flow if there is no opening page.
  function launch() {
    const button = document.getElementById("start");
    button.addEventListener("click", () => run(button, start));
    window.addEventListener("hashchange", launchFromFragment);
    if (!launchFromFragment() && window.opener) {
      showText(page.dataset.opening);
    }
  }

  function launchFromFragment() {
    const flow = window.location.hash.slice(1);
    if (!/^[A-Za-z0-9_-]{1,64}$/.test(flow)) {
      return false;
    }
    redirectToProvider(flow);
    return true;
  }

  async function start() {
    showText(page.dataset.opening);
    const request = { connection: page.dataset.connection, consentVersion: page.dataset.consent };
    if (page.dataset.account === "change") {
      request.allowAccountChange = true;
    }
    if (page.dataset.account === "select") {
      request.selectAccount = true;
    }
    const { flowId } = await send("POST", page.dataset.start, request);
    redirectToProvider(flowId);
  }

  // The server checks user and browser and redirects to the provider.
  function redirectToProvider(flow) {
    // Without this, the provider's page could navigate the opening page.
    window.opener = null;
    window.location.replace(`${page.dataset.launch}?flow=${encodeURIComponent(flow)}`);
  }

  // List of connectors: disconnect and log out.
  function home() {
    for (const button of page.querySelectorAll("button[data-disconnect]")) {
      button.addEventListener("click", () =>
        run(button, async () => {
          await send("POST", button.dataset.disconnect, { connection: button.dataset.connection });
          window.location.reload();
        }),
      );
    }
    const logOut = document.getElementById("log-out");
    logOut?.addEventListener("click", () =>
      run(logOut, async () => {
        await send("DELETE", page.dataset.session);
        window.location.reload();
      }),
    );
  }

  // Runs one action at a time. After a failure the button is usable again.
  async function run(button, action) {
    if (busy) {
      return;
    }
    busy = true;
    button.setAttribute("aria-disabled", "true");
    showText("");
    try {
      await action();
    } catch (error) {
      showText(error.message);
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
      throw new Error(page.dataset.noResponse);
    }
    if (response.status === 204) {
      return undefined;
    }
    const result = await response.json().catch(() => ({}));
    if (!response.ok) {
      const reference = result.correlation_id ? ` (${result.code}, ${result.correlation_id})` : "";
      throw new Error(`${errors[result.code] ?? page.dataset.failed}${reference}`);
    }
    return result;
  }

  function showText(text) {
    if (status) {
      status.textContent = text;
    }
  }

  // A page restored from the history is reloaded.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) {
      window.location.reload();
    }
  });
})();
