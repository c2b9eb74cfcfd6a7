import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { connector } from "../../testing/seed.ts";
import { dialog, expectAccessible, menuItem, renderConsole, rowOf } from "./kit.tsx";

const SINCE = "2026-06-01T10:00:00Z";

function doubleWithStatuses(): FakeServer {
  const server = new FakeServer();
  server.statuses.set("default/github/u_alice", {
    user_auth_status: "connected",
    account: "alice@github.example",
    last_used_at: `${new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`,
    provider_note: "provider_unreachable",
  });
  server.statuses.set("default/wiki/u_alice", {
    user_auth_status: "needs_reauthorization",
    reason: "refresh_rejected",
    since: SINCE,
    account: "alice@contoso.example",
  });
  return server;
}

describe("the table", () => {
  it("shows status, reason, account and last use in words", async () => {
    renderConsole({ server: doubleWithStatuses() });
    const github = within(await rowOf("GitHub"));
    await github.findByText("Connected");
    github.getByText("alice@github.example");
    github.getByText("2 days ago");
    github.getByText("The provider cannot be reached at the moment");
    const wiki = within(await rowOf("Team wiki"));
    wiki.getByText("Reconnect needed");
    wiki.getByText("The provider no longer accepts it");
    wiki.getByRole("button", { name: "Reconnect Team wiki" });
    within(await rowOf("Warehouse API")).getByText("Not connected");
    const shared = within(await rowOf("Nightly reports"));
    shared.getByText("Shared");
    expect(shared.queryByRole("button", { name: /Connect/ })).toBeNull();
    await expectAccessible();
  });

  it("R31 shows no reason or note it does not know", async () => {
    const server = new FakeServer();
    server.statuses.set("default/github/u_alice", {
      user_auth_status: "needs_reauthorization",
      reason: "<b>call 0900</b>",
    });
    server.statuses.set("default/wiki/u_alice", {
      user_auth_status: "connected",
      provider_note: "call 0900",
    });
    renderConsole({ server });
    within(await rowOf("GitHub")).getByText("It has ended");
    expect(document.body.textContent).not.toContain("0900");
  });

  it("R63 shows names as text, whatever is in them", async () => {
    const server = new FakeServer();
    server.connectors = [connector("default", "x", "<img src=x onerror=alert(1)>", ".github")];
    renderConsole({ server });
    await rowOf("<img src=x onerror=alert(1)>");
    expect(document.querySelector("img")).toBeNull();
  });

  it("says when the setup is incomplete, and offers no connect", async () => {
    const server = new FakeServer();
    server.connectors = [connector("default", "x", "Half", ".github", { is_missing_secrets: true })];
    renderConsole({ server });
    const row = within(await rowOf("Half"));
    row.getByText("Setup incomplete");
    expect(row.queryByRole("button", { name: /^Connect/ })).toBeNull();
  });

  it("is searched and filtered, and keeps both in the URL", async () => {
    const { user } = renderConsole({ server: doubleWithStatuses() });
    await rowOf("GitHub");
    await user.type(screen.getByRole("searchbox"), "contoso wiki");
    await waitFor(() => expect(screen.queryByText("GitHub")).toBeNull());
    await rowOf("Team wiki");
    expect(window.location.search).toBe("?q=contoso+wiki");
    await user.clear(screen.getByRole("searchbox"));
    await user.click(screen.getByRole("radio", { name: /Needs attention/ }));
    expect(screen.queryByText("Warehouse API")).toBeNull();
    expect(window.location.search).toBe("?status=attention");
    await user.type(screen.getByRole("searchbox"), "zzz");
    await screen.findByRole("heading", { name: "Nothing matches" });
    await user.click(screen.getByRole("button", { name: "Clear search and filter" }));
    await rowOf("GitHub");
    expect(window.location.search).toBe("");
  });

  it("has an empty state for editors and another for viewers", async () => {
    const server = new FakeServer();
    server.connectors = [];
    const { user } = renderConsole({ server });
    await screen.findByText(/Create the first one/);
    await expectAccessible();
    await user.click(screen.getByRole("button", { name: "New connector" }));
    await dialog().findByRole("button", { name: /GitHub/ });
  });

  it("has an error state that can be left", async () => {
    const server = new FakeServer();
    server.faults.set("GET /api/actions/connectors", [400, "invalid_request", { detail: "space" }]);
    const { user } = renderConsole({ server });
    await screen.findByRole("heading", { name: "The connectors could not be loaded" });
    await expectAccessible();
    server.faults.clear();
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await rowOf("GitHub");
  });

  it("has a loading state", async () => {
    const server = new FakeServer();
    renderConsole({ server });
    await screen.findByRole("status", { name: "Loading" });
    await rowOf("GitHub");
  });
});

describe("viewers", () => {
  it("see no edit action", async () => {
    renderConsole({ as: "bob" });
    const row = await rowOf("GitHub");
    menuItem("Details", row);
    expect(within(row).queryByRole("button", { name: "Edit", hidden: true })).toBeNull();
    expect(within(row).queryByRole("button", { name: "Delete", hidden: true })).toBeNull();
    expect(screen.queryByRole("button", { name: "New connector" })).toBeNull();
    expect(screen.queryByRole("link", { name: "Connections" })).toBeNull();
  });

  it("are not shown the admins' view by its URL", async () => {
    renderConsole({ as: "bob", path: "/?view=connections" });
    await rowOf("GitHub");
  });

  it("are viewers where they are, not where they are editors", async () => {
    renderConsole({ as: "alice", path: "/s/marketing/" });
    const row = within(await rowOf("GitHub (campaigns)"));
    expect(row.queryByRole("button", { name: "Edit", hidden: true })).toBeNull();
  });
});

describe("connecting", () => {
  it("R19 says before leaving what is connected, for whom, and where it goes", async () => {
    const { user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect Warehouse API" }));
    for (const text of [
      "Warehouse API (warehouse)",
      "Default",
      "Alice Archer only",
      "id.example",
      "files.read",
      "api.id.example",
    ]) {
      dialog().getByText(text);
    }
    dialog().getByText(/entered these addresses by hand/);
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Cancel" }));
    await user.click(screen.getByRole("button", { name: "Connect GitHub" }));
    expect(dialog().queryByText(/by hand/)).toBeNull();
  });

  it("R19 reads the hosts from the configuration where the server does not say them", async () => {
    const server = new FakeServer();
    for (const one of server.connectors) {
      one.consent = null;
    }
    const { user } = renderConsole({ server });
    await user.click(await screen.findByRole("button", { name: "Connect Warehouse API" }));
    dialog().getByText("id.example");
    dialog().getByText("api.id.example");
  });

  it("opens the launch page, waits, and tells of success", async () => {
    const { server, user, opened } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    expect(opened).toEqual([{ url: "/connect/github", sentTo: ["/connect/github#flow-1"] }]);
    const row = within(await rowOf("GitHub"));
    await row.findByText("Connecting");
    expect(row.getByRole("timer").textContent).toMatch(/^(10:00|9:5\d) left$/);
    server.finish("flow-1", "authorized");
    await screen.findByText("GitHub is connected", {}, { timeout: 4000 });
    await row.findByText("Connected");
    row.getByText("alice@provider.example");
  });

  it("can be cancelled", async () => {
    const { server, user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await user.click(await screen.findByRole("button", { name: "Cancel connecting GitHub" }));
    await screen.findByRole("button", { name: "Connect GitHub" });
    expect(server.lastFlow.status).toBe("cancelled");
  });

  it("offers a link when the browser blocks the tab", async () => {
    const { user } = renderConsole();
    await rowOf("GitHub");
    vi.spyOn(window, "open").mockReturnValue(null);
    await user.click(screen.getByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    const link = await screen.findByRole("link", { name: "Open the sign-in page" });
    expect(link.getAttribute("href")).toBe("/connect/github?flow=flow-1");
    expect(link.getAttribute("rel")).toBe("noopener noreferrer");
  });

  it("R35 asks before it takes another account", async () => {
    const { server, user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByText("Connecting");
    server.finish("flow-1", { code: "account_mismatch" });
    await screen.findByRole("heading", { name: "That is another account" }, { timeout: 4000 });
    await user.click(dialog().getByRole("button", { name: "Connect another account" }));
    await waitFor(() => expect(server.lastFlow.flowId).toBe("flow-2"));
  });

  it("tells why it failed", async () => {
    const { server, user } = renderConsole();
    server.faults.set("POST /internal/actions/connector/github/_start", [429, "rate_limited"]);
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByText("GitHub is not connected. Too many attempts. Wait a moment and try again.");
    await expectAccessible();
  });

  it("R32 does not believe a success in the URL", async () => {
    renderConsole({ path: "/?oauth_authorization=success&connector_id=github" });
    await rowOf("GitHub");
    await waitFor(() => expect(window.location.search).toBe(""));
    expect(screen.queryByText(/is connected/)).toBeNull();
  });

  it("tells of a success that the server confirms", async () => {
    renderConsole({
      server: doubleWithStatuses(),
      path: "/?oauth_authorization=success&connector_id=github&q=git",
    });
    await screen.findByText("github is connected");
    expect(window.location.search).toBe("?q=git");
  });

  it("R31 tells of an error from the URL in its own words", async () => {
    renderConsole({
      path: "/?oauth_authorization=error&connector_id=github&error=access_denied&status_code=403",
    });
    await screen.findByText("github is not connected. Consent was not given.");
  });
});

describe("disconnecting", () => {
  it("asks first", async () => {
    const { server, user } = renderConsole({ server: doubleWithStatuses() });
    await user.click(await screen.findByRole("button", { name: "Disconnect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Cancel" }));
    expect(server.statuses.has("default/github/u_alice")).toBe(true);
    await user.click(screen.getByRole("button", { name: "Disconnect GitHub" }));
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Disconnect" }));
    await screen.findByText("GitHub is disconnected");
    await screen.findByRole("button", { name: "Connect GitHub" });
  });
});

describe("details", () => {
  it("R65 show account, permissions, destinations and last use", async () => {
    const { user } = renderConsole({ server: doubleWithStatuses() });
    await user.click(await screen.findByRole("button", { name: "GitHub" }));
    for (const text of ["alice@github.example", "repo", "api.github.com", "2 days ago", "github.com"]) {
      dialog().getByText(text);
    }
    dialog().getByRole("button", { name: "Copy: Redirect URI" });
    await expectAccessible();
  });
});
