import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { connector } from "../../testing/seed.ts";
import { dialog, expectAccessible, menuItem, renderConsole, rowOf } from "./kit.tsx";

const SINCE = "2026-06-01T10:00:00Z";

function doubleWithStatuses(): FakeServer {
  const server = new FakeServer();
  server.setConnection("default/github/u_alice", {
    account: "alice@github.example",
    last_used_at: `${new Date(Date.now() - 2 * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`,
    provider_note: "provider_unreachable",
  });
  server.setConnection("default/wiki/u_alice", {
    status: "needs_reauthorization",
    reason: "refresh_rejected",
    since: SINCE,
    account: "alice@contoso.example",
  });
  return server;
}

/** The consent of a connector of the seed. */
function consentOf(server: FakeServer, id: string) {
  const consent = server.connectors.find((one) => one.id === id)?.consent;
  if (!consent) {
    throw new Error(`the seed has no ${id}`);
  }
  return consent;
}

describe("the table", () => {
  it("shows status, reason, account and last use as text", async () => {
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

  it("R31 shows no unknown reason or note", async () => {
    const server = new FakeServer();
    server.setConnection("default/github/u_alice", {
      status: "needs_reauthorization",
      reason: "<b>call 0900</b>",
    });
    server.setConnection("default/wiki/u_alice", { provider_note: "call 0900" });
    renderConsole({ server });
    within(await rowOf("GitHub")).getByText("It has ended");
    expect(document.body.textContent).not.toContain("0900");
  });

  it("R63 shows names as text, also where they contain markup", async () => {
    const server = new FakeServer();
    server.connectors = [connector("default", "x", "<img src=x onerror=alert(1)>", ".github")];
    renderConsole({ server });
    await rowOf("<img src=x onerror=alert(1)>");
    expect(document.querySelector("img")).toBeNull();
  });

  it("shows a connector that is not authentic as such, with the ways out", async () => {
    const server = new FakeServer();
    const tampered = { ...connector("default", "x", "Changed", ".github"), is_tampered: true };
    delete tampered.redirect_uri;
    delete tampered.consent;
    server.connectors = [tampered];
    const { user } = renderConsole({ server });
    const row = await rowOf("Changed");
    within(row).getByText("Damaged");
    within(row).getByText(/delete it and create it again/);
    within(row).getByRole("button", { name: "Disconnect Changed" });
    expect(within(row).queryByRole("button", { name: /^Connect/ })).toBeNull();
    expect(within(row).queryByRole("menuitem", { name: "Edit", hidden: true })).toBeNull();
    await expectAccessible();
    await user.click(within(row).getByRole("button", { name: "Changed" }));
    expect(dialog().queryByText("Redirect URI")).toBeNull();
    await user.click(dialog().getByRole("button", { name: "Close" }));
    await user.click(within(row).getByRole("button", { name: "Delete Changed" }));
    await user.click(dialog().getByRole("button", { name: "Delete connector" }));
    await screen.findByText("Changed was deleted");
  });

  it("shows that the setup is incomplete, and has no connect button", async () => {
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
    await screen.findByRole("searchbox", { name: "Search providers" });
    screen.getByRole("button", { name: /GitHub/ });
  });

  it("has an error state with a retry", async () => {
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
    expect(within(row).queryByRole("menuitem", { name: "Edit", hidden: true })).toBeNull();
    expect(within(row).queryByRole("menuitem", { name: "Delete", hidden: true })).toBeNull();
    expect(screen.queryByRole("button", { name: "New connector" })).toBeNull();
    expect(screen.queryByRole("link", { name: "Connections" })).toBeNull();
  });

  it("do not see the view of admins by its URL", async () => {
    renderConsole({ as: "bob", path: "/?view=connections" });
    await rowOf("GitHub");
  });

  it("are viewers in each space where they have no other role", async () => {
    renderConsole({ as: "alice", path: "/s/marketing/" });
    const row = within(await rowOf("GitHub (campaigns)"));
    expect(row.queryByRole("menuitem", { name: "Edit", hidden: true })).toBeNull();
  });
});

describe("connecting", () => {
  it("R19 shows before leaving what is connected, for which user, and where access is sent", async () => {
    const { user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect Warehouse API" }));
    for (const text of [
      "Warehouse API (warehouse)",
      "Default",
      "Alice Archer only",
      "files.read",
      "api.id.example",
    ]) {
      dialog().getByText(text);
    }
    expect(dialog().getAllByText("id.example")).toHaveLength(2);
    dialog().getByText(/entered these addresses by hand/);
    expect(dialog().queryByText(/not of that site/)).toBeNull();
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Cancel" }));
    await user.click(screen.getByRole("button", { name: "Connect GitHub" }));
    expect(dialog().queryByText(/by hand/)).toBeNull();
  });

  it("R19 reads the hosts from the configuration where the server does not return them", async () => {
    const server = new FakeServer();
    for (const one of server.connectors) {
      one.consent = null;
    }
    const { user } = renderConsole({ server });
    await user.click(await screen.findByRole("button", { name: "Connect Warehouse API" }));
    const hosts = dialog()
      .getAllByRole("listitem")
      .map((item) => item.textContent);
    expect(hosts).toEqual([
      "id.example: your log-in and consent; the authorization code and the tokens",
      "api.id.example: the access token, when the connector is used",
    ]);
    dialog().getByText(/These hosts are not of that site: api\.id\.example\./);
  });

  it.each(["en", "de"] as const)(
    "R19 names each host that receives something and warns of other sites (%s)",
    async (language) => {
      localStorage.setItem("grantry.language", language);
      const server = new FakeServer();
      const consent = consentOf(server, "warehouse");
      consent.receivers = [
        { host: "login.honest.example", receives: ["log_in"], other_site: false },
        { host: "evil.example", receives: ["code_and_tokens", "revocation"], other_site: true },
        { host: "me.honest.example:8443", receives: ["userinfo"], other_site: false },
        { host: "api.example", receives: ["api"], other_site: true },
      ];
      const { user } = renderConsole({ server });
      const connect = language === "en" ? "Connect Warehouse API" : "Warehouse API verbinden";
      await user.click(await screen.findByRole("button", { name: connect }));
      const hosts = dialog()
        .getAllByRole("listitem")
        .map((item) => item.textContent?.split(": ")[0]);
      expect(hosts).toEqual([
        "login.honest.example",
        "evil.example",
        "me.honest.example:8443",
        "api.example",
      ]);
      const texts = dialog()
        .getAllByRole("listitem")
        .map((item) => item.textContent ?? "");
      expect(texts[1]).toContain(
        language === "en" ? "the authorization code and the tokens; tokens that" : "den Autorisierungscode",
      );
      dialog().getByText(
        language === "en"
          ? /not of that site: evil\.example, api\.example\./
          : /nicht zu dieser Website: evil\.example, api\.example\./,
      );
      await expectAccessible();
    },
  );

  it("R19 reads the hosts that an issuer names, and starts with what was shown", async () => {
    const server = new FakeServer();
    const consent = consentOf(server, "warehouse");
    consent.receivers = [{ host: "login.honest.example", receives: ["metadata"], other_site: false }];
    server.consents.set("warehouse", {
      ...consent,
      version: "discovered",
      provider_host: "login.honest.example",
      receivers: [
        { host: "login.honest.example", receives: ["log_in"], other_site: false },
        { host: "evil.example", receives: ["code_and_tokens"], other_site: true },
      ],
    });
    const { user } = renderConsole({ server });
    await user.click(await screen.findByRole("button", { name: "Connect Warehouse API" }));
    await dialog().findByText(/not of that site: evil\.example\./);
    await user.click(dialog().getByRole("button", { name: "Go to login.honest.example" }));
    await waitFor(() => expect(server.consentVersions).toEqual(["discovered"]));
  });

  it("R19 starts nothing where the metadata of an issuer cannot be read", async () => {
    const server = new FakeServer();
    const consent = consentOf(server, "warehouse");
    consent.receivers = [{ host: "login.honest.example", receives: ["metadata"], other_site: false }];
    server.faults.set("GET /internal/actions/connector/warehouse/_consent", [503, "provider_unavailable"]);
    const { user } = renderConsole({ server });
    await user.click(await screen.findByRole("button", { name: "Connect Warehouse API" }));
    await dialog().findByRole("alert");
    expect(dialog().queryByRole("button", { name: /^Go to/ })).toBeNull();
    await expectAccessible();
    server.faults.clear();
    server.consents.set("warehouse", {
      ...consent,
      receivers: [{ host: "login.honest.example", receives: ["log_in"], other_site: false }],
    });
    await user.click(dialog().getByRole("button", { name: "Try again" }));
    await dialog().findByRole("button", { name: /^Go to/ });
    expect(dialog().queryByRole("alert")).toBeNull();
  });

  it("R19 names the hosts of an issuer again before another choice of account", async () => {
    const server = new FakeServer();
    const consent = consentOf(server, "github");
    const now = (version: string, token: string) =>
      server.consents.set("github", {
        ...consent,
        version,
        receivers: [
          { host: "github.com", receives: ["log_in"], other_site: false },
          { host: token, receives: ["code_and_tokens"], other_site: true },
        ],
      });
    now("first", "honest.example");
    consent.receivers = [{ host: "github.com", receives: ["metadata"], other_site: false }];
    const { user } = await reconnectWithBob(server);
    now("second", "evil.example");
    await user.click(dialog().getByRole("button", { name: "Use alice@github.example" }));
    await dialog().findByText(/not of that site: evil\.example\./);
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await waitFor(() => expect(server.consentVersions).toEqual(["first", "second"]));
    expect(server.lastFlow.selectsAccount).toBe(true);
  });

  it("opens the launch page, waits, and reports success", async () => {
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

  it("shows a link when the browser blocks the tab", async () => {
    const { user } = renderConsole();
    await rowOf("GitHub");
    vi.spyOn(window, "open").mockReturnValue(null);
    await user.click(screen.getByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    const link = await screen.findByRole("link", { name: "Open the sign-in page for GitHub" });
    expect(link.getAttribute("href")).toBe("/connect/github?flow=flow-1");
    expect(link.getAttribute("rel")).toBe("noopener noreferrer");
  });

  /** A reconnect in which another account was used than the connected one. */
  async function reconnectWithBob(server = new FakeServer()) {
    server.setConnection("default/github/u_alice", { account: "alice@github.example" });
    const here = renderConsole({ server });
    const row = await rowOf("GitHub");
    await within(row).findByText("Connected");
    await here.user.click(menuItem("Reconnect", row));
    await here.user.click(await dialog().findByRole("button", { name: "Go to github.com", busy: false }));
    await within(row).findByText("Reconnecting");
    server.finish("flow-1", { account: "bob@github.example" });
    await screen.findByRole("heading", { name: "That is another account" }, { timeout: 4000 });
    return here;
  }

  it.each([
    ["Use alice@github.example", { selectsAccount: true, allowsAccountChange: false }],
    ["Replace it with bob@github.example", { selectsAccount: false, allowsAccountChange: true }],
  ])("R35 names both accounts, and asks before it accepts another one: %s", async (choice, expected) => {
    const { server, user } = await reconnectWithBob();
    dialog().getByText(
      "You used bob@github.example at the provider, but GitHub was last connected as alice@github.example. Nothing was changed.",
    );
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: choice }));
    expect(server.flows.size).toBe(1);
    dialog().getByText("Hosts and what they receive");
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await waitFor(() => expect(server.lastFlow).toMatchObject({ flowId: "flow-2", ...expected }));
    expect(server.lastFlow.connection).toBe("default");
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("R35 adds another account as another connection, after the consent is shown", async () => {
    const { server, user } = await reconnectWithBob();
    await user.click(dialog().getByRole("button", { name: "Add bob@github.example as another connection" }));
    await dialog().findByRole("heading", { name: "Connect GitHub (bob)?" });
    expect(server.flows.size).toBe(1);
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await waitFor(() => expect(server.lastFlow).toMatchObject({ flowId: "flow-2", connection: "bob" }));
    expect(server.lastFlow.allowsAccountChange).toBe(false);
  });

  it("reports another account where there is no connection to keep", async () => {
    const { server, user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByText("Connecting");
    server.finish("flow-1", { code: "account_mismatch" });
    await screen.findByText(
      "GitHub is not connected. You signed in with another account than last time.",
      {},
      { timeout: 4000 },
    );
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("reports the reason of a failure", async () => {
    const { server, user } = renderConsole();
    server.faults.set("POST /internal/actions/connector/github/_start", [429, "rate_limited"]);
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByText("GitHub is not connected. Too many attempts. Wait a moment and try again.");
    await expectAccessible();
  });

  it("R32 shows no success from the URL alone", async () => {
    renderConsole({ path: "/?oauth_authorization=success&connector_id=github" });
    await rowOf("GitHub");
    await waitFor(() => expect(window.location.search).toBe(""));
    expect(screen.queryByText(/is connected/)).toBeNull();
  });

  it("reports a success that the server confirms", async () => {
    renderConsole({
      server: doubleWithStatuses(),
      path: "/?oauth_authorization=success&connector_id=github&q=git",
    });
    await screen.findByText("GitHub is connected");
    expect(window.location.search).toBe("?q=git");
  });

  it("R31 reports an error from the URL with a text of the catalogue", async () => {
    renderConsole({
      path: "/?oauth_authorization=error&connector_id=github&error=access_denied&status_code=403",
    });
    await screen.findByText("GitHub is not connected. Access was denied. Nothing was connected or changed.");
  });
});

describe("disconnecting", () => {
  it("asks for a confirmation", async () => {
    const { server, user } = renderConsole({ server: doubleWithStatuses() });
    await user.click(await screen.findByRole("button", { name: "Disconnect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Cancel" }));
    expect(server.connections.has("default/github/u_alice/default")).toBe(true);
    await user.click(screen.getByRole("button", { name: "Disconnect GitHub" }));
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Disconnect" }));
    await screen.findByText("GitHub is disconnected");
    await screen.findByRole("button", { name: "Connect GitHub" });
  });
});

describe("several connections", () => {
  function serverWithTwo(): FakeServer {
    const server = new FakeServer();
    server.setConnection("default/github/u_alice", { account: "alice@github.example" });
    server.setConnection("default/github/u_alice", { name: "work", account: "alice@work.example" });
    return server;
  }

  async function open(server: FakeServer) {
    const here = renderConsole({ server });
    const row = await rowOf("GitHub");
    await waitFor(() => menuItem("Connections", row));
    await here.user.click(menuItem("Connections", row));
    return here;
  }

  const item = (name: string) => {
    const found = dialog()
      .getAllByRole("listitem")
      .find((one) => within(one).queryByText(name));
    if (!found) {
      throw new Error(`${name} is not in the list`);
    }
    return within(found);
  };

  it("are listed with account and status", async () => {
    const server = serverWithTwo();
    server.setConnection("default/github/u_alice", {
      name: "old",
      status: "needs_reauthorization",
      reason: "refresh_rejected",
    });
    const { user } = renderConsole({ server });
    const row = within(await rowOf("GitHub"));
    await row.findByText("3 connections");
    row.getByText("Reconnect needed");
    expect(row.queryByRole("button", { name: /^Disconnect/ })).toBeNull();
    await user.click(row.getByRole("button", { name: "Connections of GitHub" }));
    within(dialog().getByRole("list", { name: "Connections" }));
    item("default").getByText("alice@github.example");
    item("work").getByText("alice@work.example");
    item("work").getByText("Connected");
    item("old").getByText("The provider no longer accepts it");
    item("old").getByRole("button", { name: "Reconnect GitHub (old)" });
    await expectAccessible();
  });

  it("are not shown where a connector has none", async () => {
    renderConsole();
    const shared = within(await rowOf("Nightly reports"));
    expect(shared.queryByRole("menuitem", { name: "Connections", hidden: true })).toBeNull();
  });

  it("are searched by name and account", async () => {
    const { user } = renderConsole({ server: serverWithTwo() });
    await within(await rowOf("GitHub")).findByText("2 connections");
    await user.type(screen.getByRole("searchbox"), "work.example");
    await waitFor(() => expect(screen.queryByText("Team wiki")).toBeNull());
    await rowOf("GitHub");
  });

  it("are added under a name, after the consent is shown", async () => {
    const server = new FakeServer();
    server.setConnection("default/github/u_alice", { account: "alice@github.example" });
    const { user, opened } = await open(server);
    await user.type(dialog().getByLabelText("Name"), "work");
    await user.click(dialog().getByRole("button", { name: "Add connection" }));
    dialog().getByRole("heading", { name: "Connect GitHub (work)?" });
    dialog().getByText("Alice Archer only");
    dialog().getByText("work");
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    expect(opened).toEqual([{ url: "/connect/github", sentTo: ["/connect/github#flow-1"] }]);
    expect(server.lastFlow.connection).toBe("work");
    await item("work").findByText("Connecting");
    item("work").getByRole("button", { name: "Cancel connecting GitHub (work)" });
    item("default").getByText("Connected");
    server.finish("flow-1", { account: "alice@work.example" });
    await screen.findByText("GitHub (work) is connected", {}, { timeout: 4000 });
    await item("work").findByText("alice@work.example");
    await item("work").findByText("Connected");
    await expectAccessible();
  });

  it("are not added under an invalid name or one that is taken", async () => {
    const { server, user } = await open(serverWithTwo());
    const field = dialog().getByLabelText<HTMLInputElement>("Name");
    const add = dialog().getByRole("button", { name: "Add connection" });
    for (const name of ["Work", "a b", "ä"]) {
      await user.clear(field);
      await user.type(field, name);
      expect(field.checkValidity(), name).toBe(false);
      await user.click(add);
    }
    await user.clear(field);
    await user.type(field, "work");
    expect(field.checkValidity()).toBe(true);
    await user.click(add);
    expect(dialog().getByRole("alert").textContent).toBe("There is already a connection with this name.");
    await user.clear(field);
    await user.type(field, "a.b_c-1");
    expect(field.checkValidity()).toBe(true);
    expect(server.flows.size).toBe(0);
  });

  it("R35 report an account that is connected under another name", async () => {
    const server = new FakeServer();
    server.setConnection("default/github/u_alice", { account: "alice@github.example" });
    const { user } = await open(server);
    await user.type(dialog().getByLabelText("Name"), "again");
    await user.click(dialog().getByRole("button", { name: "Add connection" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await item("again").findByText("Connecting");
    server.finish("flow-1", { account: "alice@github.example" });
    await screen.findByText(
      "GitHub (again) is not connected. This account is already connected under another name.",
      {},
      { timeout: 4000 },
    );
    await item("again").findByText("Not connected");
    item("default").getByText("Connected");
  });

  it("are disconnected one by one", async () => {
    const server = serverWithTwo();
    const { user } = await open(server);
    await user.click(item("work").getByRole("button", { name: "Disconnect GitHub (work)" }));
    dialog().getByRole("heading", { name: "Disconnect GitHub (work)?" });
    await user.click(dialog().getByRole("button", { name: "Disconnect" }));
    await screen.findByText("GitHub (work) is disconnected");
    await waitFor(() => expect(dialog().getAllByRole("listitem")).toHaveLength(1));
    expect([...server.connections.keys()]).toEqual(["default/github/u_alice/default"]);
  });

  it("have a default one, which can be set and cleared", async () => {
    const server = serverWithTwo();
    const { user } = await open(server);
    const button = () => item("work").getByRole("button", { name: "Use GitHub (work) by default" });
    const pressed = (value: string) =>
      waitFor(() => {
        expect(button().getAttribute("aria-pressed")).toBe(value);
        expect(button().hasAttribute("disabled")).toBe(false);
      });
    await pressed("false");
    await user.click(button());
    await pressed("true");
    expect(server.defaults.get("default/github/u_alice")).toBe("work");
    await expectAccessible();
    await user.click(button());
    await pressed("false");
    expect(server.defaults.size).toBe(0);
    server.faults.set("PUT /internal/actions/connector/github/_default_connection", [
      404,
      "connection_not_found",
    ]);
    await user.click(button());
    await screen.findByText("There is no connection with this name.");
  });

  const MISMATCH =
    "/?oauth_authorization=error&connector_id=github&error=account_mismatch&oauth_connection=work";

  it("R35 ask before they accept another account, also after a redirect", async () => {
    const { server, user } = renderConsole({ server: serverWithTwo(), path: MISMATCH });
    await screen.findByRole("heading", { name: "That is another account" });
    dialog().getByText(/The account you used at GitHub \(work\) is not the one that was last connected/);
    dialog().getByRole("button", { name: "Use alice@work.example" });
    await user.click(dialog().getByRole("button", { name: "Replace the account of last time" }));
    // Any page can link to this URL: nothing starts before the hosts were shown.
    expect(server.flows.size).toBe(0);
    dialog().getByText("Hosts and what they receive");
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await waitFor(() => expect(server.lastFlow.connection).toBe("work"));
    expect(server.lastFlow.allowsAccountChange).toBe(true);
  });

  it("R35 name both accounts after a redirect in the tab that started the flow, and add the used one", async () => {
    const server = serverWithTwo();
    await server.fetchAs("alice")("/internal/actions/connector/github/_start_oauth_flow", {
      method: "POST",
      body: JSON.stringify({ connection: "work" }),
    });
    server.finish("flow-1", { account: "Work@github.example" });
    sessionStorage.setItem("grantry.flow", "flow-1");
    const { user } = renderConsole({ server, path: MISMATCH });
    await screen.findByRole("heading", { name: "That is another account" });
    dialog().getByText(
      /You used Work@github.example at the provider, but GitHub \(work\) was last connected as/,
    );
    await user.click(dialog().getByRole("button", { name: "Add Work@github.example as another connection" }));
    await dialog().findByRole("heading", { name: "Connect GitHub (work-2)?" });
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await item("work-2").findByText("Connecting");
    expect(server.lastFlow.connection).toBe("work-2");
  });

  it("ask for the consent again where the same account is added again", async () => {
    const server = serverWithTwo();
    server.setConnection("default/github/u_alice", {
      name: "work",
      account: "alice@work.example",
      status: "needs_reauthorization",
    });
    const { user } = await open(server);
    for (const flow of ["flow-1", "flow-2"]) {
      await user.click(await item("work").findByRole("button", { name: "Reconnect GitHub (work)" }));
      await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
      await item("work").findByRole("button", { name: "Cancel connecting GitHub (work)" });
      server.finish(flow, { account: "carol@github.example" });
      await screen.findByRole("heading", { name: "That is another account" }, { timeout: 4000 });
      await user.click(
        dialog().getByRole("button", { name: "Add carol@github.example as another connection" }),
      );
      await dialog().findByRole("heading", { name: "Connect GitHub (carol)?" });
      await user.click(dialog().getByRole("button", { name: "Cancel" }));
    }
    expect(screen.getAllByText("carol")).toHaveLength(1);
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
