import type { ConnectorAnomaly } from "@grantry/client";
import { cleanup, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import de from "../src/i18n/de.json";
import en from "../src/i18n/en.json";
import { dialog, expectAccessible, menuItem, renderConsole, rowOf } from "./kit.tsx";

const SINCE = "2026-06-01T10:00:00Z";
const REFUSED = "The provider refuses this connector's client id or secret";

function withConnection(more: Parameters<FakeServer["setConnection"]>[1] = {}): FakeServer {
  const server = new FakeServer();
  server.setConnection("default/github/u_alice", { account: "alice@github.example", since: SINCE, ...more });
  return server;
}

const withRefused = () =>
  withConnection({ provider_note: "client_refused", provider_note_since: "2026-06-03T10:00:00Z" });

describe("a provider that refuses the connector", () => {
  it("is not shown as connected, and counts under what needs attention", async () => {
    const { user } = renderConsole({ server: withRefused() });
    const row = within(await rowOf("GitHub"));
    await row.findByText(REFUSED);
    expect(row.getByText("Setup problem").className).toContain("badge--warn");
    row.getByText("Since Jun 3, 2026");
    expect(row.queryByText("Connected")).toBeNull();
    await expectAccessible();
    await user.click(screen.getByRole("radio", { name: /Needs attention ?1/ }));
    await rowOf("GitHub");
    await user.click(screen.getByRole("radio", { name: /^Connected ?1/ }));
    await rowOf("Nightly reports");
    expect(screen.queryByRole("button", { name: "GitHub" })).toBeNull();
  });

  it("offers an edit to editors, and not to viewers", async () => {
    const { user } = renderConsole({ server: withRefused() });
    await user.click(await screen.findByRole("button", { name: "Edit GitHub" }));
    await dialog().findByRole("heading", { name: "Edit GitHub" });
  });

  it("is shown to viewers without an edit", async () => {
    const server = new FakeServer();
    server.setConnection("default/github/u_bob", { provider_note: "client_refused" });
    renderConsole({ as: "bob", server });
    const row = within(await rowOf("GitHub"));
    await row.findByText(REFUSED);
    expect(row.queryByRole("button", { name: "Edit GitHub" })).toBeNull();
    row.getByRole("button", { name: "Disconnect GitHub" });
  });

  it("is shown for one of several connections", async () => {
    const server = withRefused();
    server.setConnection("default/github/u_alice", { name: "work" });
    const { user } = renderConsole({ server });
    const row = await rowOf("GitHub");
    await within(row).findByText("Setup problem");
    await user.click(menuItem("Connections", row));
    dialog().getByText(REFUSED);
    dialog().getByText("Connected");
  });
});

describe("a status", () => {
  it("shows since when it holds, and a note since when that does", async () => {
    renderConsole({
      server: withConnection({
        provider_note: "refresh_refused",
        provider_note_since: "2026-06-05T10:00:00Z",
      }),
    });
    const row = within(await rowOf("GitHub"));
    await row.findByText("The provider refuses to refresh the access; it is tried again");
    row.getByText("Since Jun 5, 2026");
  });

  it("shows since when the user is connected", async () => {
    renderConsole({ server: withConnection() });
    const since = await within(await rowOf("GitHub")).findByText("Since Jun 1, 2026");
    expect(since.getAttribute("datetime")).toBe("2026-06-01T10:00:00.000Z");
  });

  it("shows never as the last use of a connection that was not used", async () => {
    renderConsole({ server: withConnection() });
    await within(await rowOf("GitHub")).findByText("Never");
    expect(within(await rowOf("Team wiki")).queryByText("Never")).toBeNull();
  });

  it("shows the permissions that were requested and not granted", async () => {
    const { user } = renderConsole({ server: withConnection({ missing_scopes: ["repo"] }) });
    const row = within(await rowOf("GitHub"));
    await row.findByText("One requested permission was not granted");
    row.getByText("Connected");
    await user.click(row.getByRole("button", { name: "GitHub" }));
    expect(dialog().getByText("Missing permissions").nextSibling?.textContent).toBe("repo");
  });
});

describe("diagnostics", () => {
  const withFailure = () => {
    const server = withRefused();
    server.diagnostics.set("github", {
      last_failure: {
        operation: "refresh",
        code: "provider_misconfigured",
        http_status: 401,
        oauth_error: "invalid_client",
        endpoint_host: "github.com",
        hint: "Check the client secret.",
        correlation_id: "c-42",
        at: SINCE,
      },
      anomalies: [{ member: "scope", kind: "wrong_type", at: SINCE }],
      client_refused_since: SINCE,
    });
    return server;
  };

  it("show editors the last failure and unusual responses", async () => {
    const { user } = renderConsole({ server: withFailure() });
    await user.click(await screen.findByRole("button", { name: "GitHub" }));
    const failure = within(await dialog().findByRole("region", { name: "Last failure" }));
    for (const text of ["Refresh of the access token", "401", "invalid_client", "github.com", "c-42"]) {
      failure.getByText(text);
    }
    failure.getByText("Check the client secret.");
    const anomalies = within(dialog().getByRole("region", { name: "Unusual responses" }));
    anomalies.getByText("scope");
    anomalies.getByText("Has another type");
    await expectAccessible();
  });

  it("describe every kind of unusual response, and one that is not known yet", async () => {
    const kinds = {
      wrong_type: "Has another type",
      repeated: "Occurs more than once",
      too_long: "Is too long",
      not_readable: "Cannot be interpreted",
      not_text: "Is not text",
      missing: "Is missing",
      empty: "Is empty",
      invalid_characters: "Contains characters that are not allowed",
      not_integer: "Is not written as an integer",
      out_of_range: "Is out of range",
      unsupported: "Has a value that is not supported",
      unverified: "Has a signature for which there is no key",
      other_subject: "Is not about the account of the ID token",
      keys_unavailable: "Has a signature whose keys could not be fetched",
      byte_order_mark: "Begins with a byte order mark",
    } satisfies Record<ConnectorAnomaly["kind"], string>;
    const all = [...Object.keys(kinds), "toString"].map((kind) => ({ member: kind, kind, at: SINCE }));
    const server = withConnection();
    server.diagnostics.set("github", { anomalies: all as ConnectorAnomaly[] });
    const { user } = renderConsole({ server });
    await user.click(await screen.findByRole("button", { name: "GitHub" }));
    const anomalies = within(await dialog().findByRole("region", { name: "Unusual responses" }));
    for (const [kind, text] of [...Object.entries(kinds), ["toString", "Has an unusual form"]]) {
      expect(anomalies.getByText(kind ?? "").nextSibling?.textContent).toBe(text);
    }
    for (const { diagnostics } of [en, de]) {
      const texts = Object.entries(diagnostics).flatMap(([key, text]) =>
        key.startsWith("kind_") ? [text] : [],
      );
      expect(new Set(texts).size).toBe(all.length);
    }
  });

  it("are not requested by viewers, and absent without a failure", async () => {
    const server = withFailure();
    const { user } = renderConsole({ as: "bob", server });
    await user.click(await screen.findByRole("button", { name: "GitHub" }));
    dialog().getByText("Id");
    expect(server.requests.some((one) => one.includes("diagnostics"))).toBe(false);
  });
});

describe("a flow that waits", () => {
  it("can be continued after the tab of the provider was closed", async () => {
    const { user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    const link = await screen.findByRole("link", { name: "Open the sign-in page for GitHub" });
    expect(link.getAttribute("href")).toBe("/connect/github?flow=flow-1");
    expect(link.textContent).toBe("Open the sign-in page");
    within(await rowOf("GitHub")).getByRole("button", { name: "Cancel connecting GitHub" });
    await expectAccessible();
  });

  it("can be continued in each list of the page that started it", async () => {
    const { user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByRole("link", { name: "Open the sign-in page for GitHub" });
    await user.click(menuItem("Connections", await rowOf("GitHub")));
    dialog().getByRole("link", { name: "Open the sign-in page for GitHub (default)" });
  });

  it.each(["new_tab", "redirect"])("can be continued after a reload and in another tab: %s", async (mode) => {
    localStorage.setItem("grantry.sign-in", mode);
    const { server, user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await waitFor(() => expect(localStorage.getItem("grantry.flows")).toContain("flow-1"));
    cleanup();
    renderConsole({ server });
    const link = await screen.findByRole("link", { name: "Open the sign-in page for GitHub" });
    expect(link.getAttribute("href")).toBe("/connect/github?flow=flow-1");
    screen.getByRole("button", { name: "Cancel connecting GitHub" });
    expect(screen.queryByRole("button", { name: /^Start connecting/ })).toBeNull();
  });

  it("can only be started again where another page or browser started it", async () => {
    const server = new FakeServer();
    const elsewhere = server.fetchAs("alice");
    await elsewhere("/s/marketing/internal/actions/connector/github/_start_oauth_flow", { method: "POST" });
    const { user } = renderConsole({ server, path: "/s/marketing/" });
    const again = await screen.findByRole("button", { name: /^Start connecting .* again$/ });
    screen.getByText("Started on another page or in another browser");
    screen.getByRole("button", { name: /^Cancel connecting/ });
    expect(screen.queryByRole("link", { name: /^Open the sign-in page/ })).toBeNull();
    await expectAccessible();
    await user.click(again);
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    const link = await screen.findByRole("link", { name: /^Open the sign-in page/ });
    expect(link.getAttribute("href")).toBe("/s/marketing/connect/github?flow=flow-2");
    expect(server.flow("flow-1").status).toBe("cancelled");
    server.finish("flow-2", { code: "access_denied" });
    window.dispatchEvent(new Event("focus"));
    await waitFor(() => expect(screen.queryByRole("link", { name: /^Open the sign-in page/ })).toBeNull());
  });
});

describe("a result", () => {
  it.each([
    ["connected", "Nothing changed: GitHub is still connected. Access was denied."],
    ["needs_reauthorization", "Nothing changed: GitHub must still be reconnected. Access was denied."],
  ] as const)("of a denied reconnect reports that nothing changed: %s", async (status, text) => {
    const { server, user } = renderConsole({ server: withConnection({ status }) });
    const row = await rowOf("GitHub");
    await within(row).findByText("alice@github.example");
    if (status === "connected") {
      await user.click(menuItem("Reconnect", row));
    } else {
      await user.click(within(row).getByRole("button", { name: "Reconnect GitHub" }));
    }
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByRole("button", { name: "Cancel connecting GitHub" });
    server.finish("flow-1", { code: "access_denied" });
    await screen.findByText(text, {}, { timeout: 4000 });
  });

  it("replaces the one before of the same connector", async () => {
    const { server, user } = renderConsole();
    server.faults.set("POST /internal/actions/connector/github/_start", [429, "rate_limited"]);
    const connect = async (name: string) => {
      await user.click(await screen.findByRole("button", { name: `Connect ${name}` }));
      await user.click(dialog().getByRole("button", { name: /^Go to/ }));
    };
    await connect("GitHub");
    await screen.findByText(/GitHub is not connected/);
    await connect("GitHub");
    server.faults.set("POST /internal/actions/connector/wiki/_start", [429, "rate_limited"]);
    await connect("Team wiki");
    await screen.findByText(/Team wiki is not connected/);
    expect(screen.getAllByText(/GitHub is not connected/)).toHaveLength(1);
  });
});

describe("a result in the URL", () => {
  const error = (query: string) => `/?oauth_authorization=error&${query}`;

  it.each([
    error("connector_id=call-0900&error=access_denied"),
    error("connector_id=github&error=call-0900"),
    error("connector_id=call-0900&error=account_mismatch"),
    "/?oauth_authorization=success&connector_id=call-0900",
    "/?oauth_authorization=success&connector_id=github&oauth_connection=call-0900",
  ])("shows nothing of unknown ids and codes: %s", async (path) => {
    renderConsole({ server: withConnection(), path });
    await rowOf("GitHub");
    await waitFor(() => expect(window.location.search).toBe(""));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(document.body.textContent).not.toContain("0900");
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.querySelectorAll(".toast")).toHaveLength(0);
  });

  it.each([
    ["access_denied", "Access was denied. Nothing was connected or changed."],
    ["account_mismatch", "You signed in with another account than last time."],
  ])("shows no name of a connection that does not exist: %s", async (code, reason) => {
    const query = `connector_id=github&error=${code}&oauth_connection=call-0900`;
    renderConsole({ path: error(query) });
    await screen.findByText(`GitHub is not connected. ${reason}`);
    expect(document.body.textContent).not.toContain("0900");
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("shows the name of the connector, and that nothing changed", async () => {
    renderConsole({ server: withConnection(), path: error("connector_id=github&error=access_denied") });
    await screen.findByText("Nothing changed: GitHub is still connected. Access was denied.");
  });
});
