import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { dialog, expectAccessible, menuItem, renderConsole, rowOf } from "./kit.tsx";

async function startCreating(type: RegExp, server = new FakeServer()) {
  const here = renderConsole({ server });
  await here.user.click(await screen.findByRole("button", { name: "New connector" }));
  await here.user.click(await dialog().findByRole("button", { name: type }));
  return here;
}

const bodies = (spy: { mock: { calls: unknown[][] } }, method: string) =>
  spy.mock.calls
    .filter(([m, , , body]) => m === method && body)
    .map(([, , , body]) => JSON.parse(String(body)));

describe("creating a connector", () => {
  it("shows a known redirect URI beforehand, and sends the form", async () => {
    const server = new FakeServer();
    const handled = vi.spyOn(server, "handle");
    const { user } = await startCreating(/GitHub/, server);
    dialog().getByText("http://127.0.0.1:8080/api/actions/connector/_oauth_callback");
    await expectAccessible();
    await user.clear(dialog().getByLabelText("Name"));
    await user.type(dialog().getByLabelText("Name"), "Our code");
    await user.type(dialog().getByLabelText(/^Id/), "code");
    await user.type(dialog().getByLabelText(/^Client id/), "client-1");
    await user.type(dialog().getByLabelText(/^Client secret/), " SECRET-CANARY ");
    await user.click(dialog().getByRole("button", { name: "Create connector" }));
    await screen.findByText("Our code was created");
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
    await user.type(dialog().getByLabelText(/^Client secret/), "SECRET-CANARY");
    expect(document.documentElement.outerHTML).not.toContain("SECRET-CANARY");
    server.faults.set("POST /api/actions/connector", [
      400,
      "invalid_request",
      { field: "config.scope", detail: "config.scope: is too long" },
    ]);
    await user.click(dialog().getByRole("button", { name: "Create connector" }));
    await dialog().findByText("The server does not accept this: is too long");
    expect(document.documentElement.outerHTML).not.toContain("SECRET-CANARY");
    expect(JSON.stringify({ ...localStorage, ...sessionStorage })).not.toContain("SECRET-CANARY");
  });

  it("shows a redirect URI that was generated", async () => {
    const { user } = await startCreating(/OAuth 2/);
    await user.clear(dialog().getByLabelText("Name"));
    await user.type(dialog().getByLabelText("Name"), "Own");
    await user.type(dialog().getByLabelText("Authorization URL"), "https://id.example/a");
    await user.type(dialog().getByLabelText("Token URL"), "https://id.example/t");
    await user.type(dialog().getByLabelText("Base URL"), "https://api.example");
    await user.click(dialog().getByRole("button", { name: "Create connector" }));
    await screen.findByRole("heading", { name: "Own is created" });
    dialog().getByText(/_oauth_context\/ctx-/);
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Done" }));
    await rowOf("Own");
  });

  it("sends lists and pairs, and rejects a line that is not a pair", async () => {
    const server = new FakeServer();
    const handled = vi.spyOn(server, "handle");
    const { user } = await startCreating(/OAuth 2/, server);
    await user.type(dialog().getByLabelText("Authorization URL"), "https://id.example/a");
    await user.type(dialog().getByLabelText("Token URL"), "https://id.example/t");
    await user.type(dialog().getByLabelText("Base URL"), "https://api.example");
    await user.selectOptions(dialog().getByLabelText(/^Client authentication/), "post");
    await user.type(
      dialog().getByLabelText(/^Destinations/),
      "https://a.example{enter}{enter} https://b.example",
    );
    await user.type(dialog().getByLabelText(/^Extra parameters/), "prompt");
    await user.click(dialog().getByRole("button", { name: "Create connector" }));
    await dialog().findByText("Write each line as name=value.");
    await user.type(dialog().getByLabelText(/^Extra parameters/), "=a=b");
    await user.click(dialog().getByRole("button", { name: "Create connector" }));
    await screen.findByRole("heading", { name: /is created/ });
    expect(bodies(handled, "POST").at(-1).config).toEqual({
      authorizationUrl: "https://id.example/a",
      tokenUrl: "https://id.example/t",
      baseUrl: "https://api.example",
      clientAuth: "post",
      destinations: ["https://a.example", "https://b.example"],
      extraAuthorizationParameters: { prompt: "a=b" },
    });
  });

  it("reports that the id is taken, and keeps the form", async () => {
    const { user } = await startCreating(/GitHub/);
    await user.type(dialog().getByLabelText(/^Id/), "github");
    await user.click(dialog().getByRole("button", { name: "Create connector" }));
    await dialog().findByText("This id is taken. Choose another one.");
    expect(dialog().getByLabelText(/^Id/)).toHaveProperty("value", "github");
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
