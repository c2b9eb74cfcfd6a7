import { cleanup, screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { SHARED_CALLBACK } from "../../testing/seed.ts";
import { dialog, expectAccessible, menuItem, page, renderConsole, rowOf, startCreating } from "./kit.tsx";

/** Fills in the settings that a connector without a profile requires. */
async function fillUrls(user: ReturnType<typeof renderConsole>["user"]) {
  for (const label of ["Authorization URL", "Token URL", "Base URL"]) {
    await user.type(page().getByLabelText(label), "https://api.example/x");
  }
}

const bodies = (spy: { mock: { calls: unknown[][] } }, method: string) =>
  spy.mock.calls
    .filter(([m, , , body]) => m === method && body)
    .map(([, , , body]) => JSON.parse(String(body)));

describe("the choice of a provider", () => {
  async function open(server = new FakeServer()) {
    const here = renderConsole({ server });
    await here.user.click(await screen.findByRole("button", { name: "New connector" }));
    return { ...here, search: await page().findByRole("searchbox", { name: "Search providers" }) };
  }
  const cards = () => within(page().getByRole("list", { name: "Providers" })).getAllByRole("button");

  it("is searched by name and id, and the number of matches is announced", async () => {
    const { user, search } = await open();
    expect(document.activeElement).toBe(search);
    expect(cards()).toHaveLength(2);
    await expectAccessible();
    await user.type(search, " HUB");
    expect(cards().map(({ textContent }) => textContent)).toEqual(["GitHubgithub"]);
    expect(page().getByRole("status").textContent).toBe("One provider matches");
    await user.type(search, "x");
    expect(page().getByRole("status").textContent).toBe("No provider matches");
    page().getByRole("button", { name: /OAuth 2/ });
  });

  it("is done with Enter in the search", async () => {
    const { user, search } = await open();
    await user.type(search, "{Enter}");
    page().getByRole("heading", { name: "New connector" });
    await user.type(search, "share{Enter}");
    await page().findByRole("heading", { name: "New connector: SharePoint" });
  });

  it("is operated with arrow keys, Home and End", async () => {
    const { user } = await open();
    const at = (name: RegExp) => expect(document.activeElement?.textContent).toMatch(name);
    for (const [key, name] of [
      ["{ArrowDown}", /^GitHub/],
      ["{ArrowRight}", /SharePoint/],
      ["{End}", /OAuth 2/],
      ["{ArrowRight}", /OAuth 2/],
      ["{Home}", /^GitHub/],
    ] as const) {
      await user.keyboard(key);
      at(name);
    }
    await user.keyboard("{ArrowUp}");
    expect(document.activeElement).toBe(page().getByRole("searchbox"));
  });

  it("shows an error with a retry", async () => {
    const server = new FakeServer();
    server.faults.set("GET /api/actions/connector_types", [403, "forbidden"]);
    const here = renderConsole({ server, path: "/?view=new" });
    await screen.findByRole("heading", { name: "The providers could not be loaded" });
    server.faults.clear();
    await here.user.click(page().getByRole("button", { name: "Try again" }));
    await page().findByRole("searchbox");
  });
});

describe("creating a connector", () => {
  it("shows a known redirect URI beforehand, and sends the form", async () => {
    const server = new FakeServer();
    const handled = vi.spyOn(server, "handle");
    const { user } = await startCreating(/GitHub/, server);
    page().getByRole("button", { name: "Copy: Redirect URI" });
    await expectAccessible();
    await user.clear(page().getByLabelText("Name"));
    await user.type(page().getByLabelText("Name"), "Our code");
    await user.type(page().getByLabelText(/^Id/), "code");
    await user.type(page().getByLabelText(/^Client id/), "client-1");
    await user.type(page().getByLabelText(/^Client secret/), " SECRET-CANARY ");
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByRole("heading", { name: "Our code is created" });
    await expectAccessible();
    await user.click(page().getByRole("button", { name: "Done" }));
    await rowOf("Our code");
    expect(server.requests).toContain("POST /api/actions/connector/code");
    expect(bodies(handled, "POST").at(-1)).toEqual({
      name: "Our code",
      connector_type_id: ".github",
      auth_mode: "per-user",
      config: { scope: "repo read:user" },
      secrets: { clientId: "client-1", clientSecret: " SECRET-CANARY " },
    });
  });

  it("R64 keeps the client secret out of the document, storage and caches", async () => {
    const server = new FakeServer();
    const { user } = await startCreating(/GitHub/, server);
    await user.type(page().getByLabelText(/^Client secret/), "SECRET-CANARY");
    expect(document.documentElement.outerHTML).not.toContain("SECRET-CANARY");
    server.faults.set("POST /api/actions/connector", [
      400,
      "invalid_request",
      { field: "config.scope", detail: "config.scope: is too long" },
    ]);
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByText("The server does not accept this: is too long");
    expect(document.documentElement.outerHTML).not.toContain("SECRET-CANARY");
    expect(JSON.stringify({ ...localStorage, ...sessionStorage })).not.toContain("SECRET-CANARY");
  });

  it("asks for the credentials after the redirect URI was generated", async () => {
    const server = new FakeServer();
    const handled = vi.spyOn(server, "handle");
    const { user } = await startCreating(/OAuth 2/, server);
    expect(page().queryByLabelText(/^Client secret/)).toBeNull();
    await user.clear(page().getByLabelText("Name"));
    await user.type(page().getByLabelText("Name"), "Own");
    await fillUrls(user);
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByRole("heading", { name: "Own is created" });
    page().getByText(/_oauth_context\/ctx-/);
    page().getByRole("heading", { name: "Register at the provider" });
    await expectAccessible();
    await user.click(page().getByRole("button", { name: "Save" }));
    expect((await page().findByRole("alert")).textContent).toBe("Client id or secret is missing");
    await user.type(page().getByLabelText(/^Client id/), "client-1");
    await user.type(page().getByLabelText(/^Client secret/), "SECRET-CANARY");
    await user.click(page().getByRole("button", { name: "Save" }));
    await page().findByRole("heading", { name: "Test connector" });
    expect(bodies(handled, "PUT").at(-1)).toMatchObject({
      name: "Own",
      config: { baseUrl: "https://api.example/x" },
      secrets: { clientId: "client-1", clientSecret: "SECRET-CANARY" },
    });
    await user.click(page().getByRole("button", { name: "Done" }));
    await rowOf("Own");
  });

  it("can be left before the credentials are entered, and continued at its URL", async () => {
    const server = new FakeServer();
    const { user } = await startCreating(/OAuth 2/, server);
    await fillUrls(user);
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByRole("heading", { name: "OAuth 2.0 is created" });
    const path = window.location.search;
    expect(new URLSearchParams(path).get("connector")).toBe(server.connectors.at(-1)?.id);
    await user.click(page().getByRole("button", { name: "Enter it later" }));
    await rowOf("OAuth 2.0");
    cleanup();
    renderConsole({ server, path: `/${path}` });
    await screen.findByLabelText(/^Client secret/);
  });

  it("folds settings that few connectors need, and opens them for an error", async () => {
    const server = new FakeServer();
    const { user } = await startCreating(/OAuth 2/, server);
    const details = () => page().getByText("Advanced settings").closest("details");
    expect(details()?.open).toBe(false);
    await fillUrls(user);
    server.faults.set("POST /api/actions/connector", [
      400,
      "invalid_request",
      { field: "config.requiredScopes", detail: "config.requiredScopes: is too long" },
    ]);
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByText("The server does not accept this: is too long");
    expect(details()?.open).toBe(true);
    expect(document.activeElement).toBe(page().getByLabelText(/^Required scopes/));
  });

  it("guides through the registration with the steps of the provider", async () => {
    await startCreating(/GitHub/);
    const steps = within(page().getByRole("region", { name: "Register at GitHub" }));
    expect(steps.getAllByRole("listitem").map(({ textContent }) => textContent)).toEqual([
      "Create an OAuth app.",
      `Enter ${SHARED_CALLBACK} as the authorization callback URL.`,
      "Copy the client ID, and generate a client secret.",
    ]);
    const links = steps.getAllByRole<HTMLAnchorElement>("link");
    expect(links.map(({ textContent, href, rel }) => [textContent?.trim(), href, rel])).toEqual([
      ["Open GitHub", "https://github.com/settings/developers", "noopener noreferrer"],
      ["List of scopes", "https://docs.github.com/scopes", "noopener noreferrer"],
      ["How to register an application", "https://docs.github.com/apps/oauth-apps", "noopener noreferrer"],
    ]);
    page().getByText("Tokens of an OAuth app do not expire.");
  });

  it("ends with a test and the first connection, which can be tried", async () => {
    const { server, user, opened } = await startCreating(/GitHub/);
    await user.type(page().getByLabelText(/^Client id/), "client-1");
    await user.click(page().getByRole("button", { name: "Create connector" }));
    const test = within(await page().findByRole("region", { name: "Test connector" }));
    await user.click(test.getByRole("button", { name: "Test connector" }));
    await test.findByText("The provider accepts them.");
    await user.click(page().getByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await waitFor(() => expect(opened).toHaveLength(1));
    server.finish("flow-1", "authorized");
    await page().findByRole("button", { name: "Disconnect GitHub" }, { timeout: 4000 });
    await user.click(page().getByRole("button", { name: "Try it" }));
    await page().findByText("The connection works.");
    await expectAccessible();
  });

  it("does not save credentials of a connector that users are connected through", async () => {
    const server = new FakeServer();
    Object.assign(server.connectors.find(({ id }) => id === "wiki") ?? {}, { is_missing_secrets: true });
    server.otherAffectedUsers = 2;
    const { user } = renderConsole({ server, path: "/?view=new&connector=wiki" });
    await user.type(await screen.findByLabelText(/^Client id/), "other");
    await user.click(page().getByRole("button", { name: "Save" }));
    expect((await page().findByRole("alert")).textContent).toContain("Edit it in the list of connectors");
    expect(server.requests.some((one) => one === "PUT /api/actions/connector/wiki")).toBe(false);
  });

  it("reports a connector that does not exist", async () => {
    const { user } = renderConsole({ path: "/?view=new&connector=no-such" });
    await screen.findByRole("heading", { name: "Connector not found" });
    await user.click(page().getByRole("button", { name: "All connectors" }));
    await rowOf("GitHub");
  });

  it("is for editors only", async () => {
    renderConsole({ as: "bob", path: "/?view=new" });
    await screen.findByRole("heading", { name: "Connectors" });
  });

  it("sends lists and pairs, and rejects a line that is not a pair", async () => {
    const server = new FakeServer();
    const handled = vi.spyOn(server, "handle");
    const { user } = await startCreating(/OAuth 2/, server);
    await fillUrls(user);
    await user.selectOptions(page().getByLabelText(/^Client authentication/), "post");
    await user.type(
      page().getByLabelText(/^Destinations/),
      "https://a.example{enter}{enter} https://b.example",
    );
    await user.type(page().getByLabelText(/^Extra parameters/), "prompt");
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByText("Write each line as name=value.");
    await user.type(page().getByLabelText(/^Extra parameters/), "=a=b");
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByRole("heading", { name: /is created/ });
    expect(bodies(handled, "POST").at(-1).config).toEqual({
      authorizationUrl: "https://api.example/x",
      tokenUrl: "https://api.example/x",
      baseUrl: "https://api.example/x",
      clientAuth: "post",
      destinations: ["https://a.example", "https://b.example"],
      extraAuthorizationParameters: { prompt: "a=b" },
    });
  });

  it("reports that the id is taken, and keeps the form", async () => {
    const { user } = await startCreating(/GitHub/);
    await user.type(page().getByLabelText(/^Id/), "github");
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByText("This id is taken. Choose another one.");
    expect(page().getByLabelText(/^Id/)).toHaveProperty("value", "github");
  });
});

describe("editing a connector", () => {
  async function startEditing(server: FakeServer) {
    const here = renderConsole({ server });
    await here.user.click(menuItem("Edit", await rowOf("Team wiki")));
    await dialog().findByLabelText("Tenant");
    return here;
  }

  function withUsers(count: number): FakeServer {
    const server = new FakeServer();
    for (let i = 0; i < count; i += 1) {
      server.setConnection(`default/wiki/u_${i}`);
    }
    return server;
  }

  it("shows the client authentication of other front ends, and sends it under one name", async () => {
    const server = new FakeServer();
    const stored = server.connectors.find(({ id }) => id === "warehouse");
    Object.assign(stored?.config ?? {}, { authType: "oauth_authorization_code", useBasicAuth: false });
    const handled = vi.spyOn(server, "handle");
    const { user } = renderConsole({ server });
    await user.click(menuItem("Edit", await rowOf("Warehouse API")));
    const authentication = await dialog().findByLabelText(/^Client authentication/);
    expect(authentication).toHaveProperty("value", "post");
    expect(dialog().queryByLabelText(/authType|useBasicAuth/)).toBeNull();
    await user.selectOptions(authentication, "basic");
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await waitFor(() => expect(bodies(handled, "PUT").length).toBeGreaterThan(0));
    expect(bodies(handled, "PUT").at(-1).config).toEqual({
      ...stored?.config,
      authType: "oauth_authorization_code",
      clientAuth: "basic",
      useBasicAuth: undefined,
    });
  });

  it("saves at once an edit that disconnects no user", async () => {
    const server = withUsers(3);
    const { user } = await startEditing(server);
    await user.clear(dialog().getByLabelText("Name"));
    await user.type(dialog().getByLabelText("Name"), "Handbook");
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await screen.findByText("Handbook was saved");
    expect([...server.connections.values()].every(({ status }) => status === "connected")).toBe(true);
  });

  it("shows beforehand how many users it disconnects", async () => {
    const server = withUsers(3);
    const { user } = await startEditing(server);
    await user.clear(dialog().getByLabelText("Tenant"));
    await user.type(dialog().getByLabelText("Tenant"), "fabrikam");
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await screen.findByRole("heading", { name: "This edit disconnects 3 users" });
    expect([...server.connections.values()].every(({ status }) => status === "connected")).toBe(true);
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Cancel" }));
    expect(dialog().getByLabelText("Tenant")).toHaveProperty("value", "fabrikam");
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await user.click(await screen.findByRole("button", { name: "Save and disconnect" }));
    await screen.findByText("Team wiki was saved; 3 users were disconnected");
    expect(server.connectors.find((c) => c.id === "wiki")?.config).toEqual({ tenant: "fabrikam" });
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("reports the edit of another user", async () => {
    const server = new FakeServer();
    const { user } = await startEditing(server);
    const wiki = server.connectors.find((c) => c.id === "wiki");
    if (wiki) {
      wiki.revision = 7;
    }
    await user.click(dialog().getByRole("button", { name: "Save" }));
    expect((await dialog().findByRole("alert")).textContent).toContain("Another user changed this connector");
  });

  it("keeps settings that the profile does not list, and sends no empty secret", async () => {
    const server = new FakeServer();
    const wiki = server.connectors.find((c) => c.id === "wiki");
    if (wiki) {
      wiki.config = { tenant: "contoso", other: { a: 1 } };
    }
    const handled = vi.spyOn(server, "handle");
    const { user } = await startEditing(server);
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await screen.findByText("Team wiki was saved");
    expect(bodies(handled, "PUT").at(-1)).toEqual({
      name: "Team wiki",
      connector_type_id: ".sharepoint",
      auth_mode: "per-user",
      config: { tenant: "contoso", other: { a: 1 } },
      revision: 1,
    });
  });
});

describe("deleting a connector", () => {
  it("asks for a confirmation", async () => {
    const { server, user } = renderConsole();
    await user.click(menuItem("Delete", await rowOf("Team wiki")));
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Delete connector" }));
    await screen.findByText("Team wiki was deleted");
    await waitFor(() => expect(screen.queryByRole("button", { name: "Team wiki" })).toBeNull());
    expect(server.connectors.some((c) => c.id === "wiki")).toBe(false);
  });

  it("reports that the server rejects it", async () => {
    const { server, user } = renderConsole();
    await user.click(menuItem("Delete", await rowOf("Team wiki")));
    server.faults.set("DELETE /api/actions/connector/wiki", [403, "forbidden"]);
    await user.click(dialog().getByRole("button", { name: "Delete connector" }));
    expect((await dialog().findByRole("alert")).textContent).toBe("You are not allowed to do this.");
  });
});
