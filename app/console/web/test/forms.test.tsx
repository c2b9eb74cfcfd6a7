import { fireEvent, screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { dialog, expectAccessible, menuItem, page, renderConsole, rowOf, startCreating } from "./kit.tsx";

async function startEditing(name: string, field: string | RegExp, server: FakeServer) {
  const here = renderConsole({ server });
  await here.user.click(menuItem("Edit", await rowOf(name)));
  await dialog().findByLabelText(field);
  return here;
}

/** A control of the form, which is in a dialog or is a page. */
const field = (label: string | RegExp) => screen.getByLabelText<HTMLInputElement>(label);

/** The texts that describe a control. */
const description = (label: string | RegExp) =>
  (field(label).getAttribute("aria-describedby") ?? "")
    .split(" ")
    .map((id) => document.getElementById(id)?.textContent ?? "")
    .join(" | ");

const stored = (server: FakeServer, id: string) => {
  const found = server.connectors.find((c) => c.id === id && c.space_id === "default");
  if (!found) {
    throw new Error(`there is no ${id}`);
  }
  return found;
};

describe("the errors of a form", () => {
  it("are shown all at once, beside their fields, and the first one gets the focus", async () => {
    const { server, user } = await startCreating(/OAuth 2/);
    await user.clear(field("Name"));
    await user.type(field(/^Id/), "Wrong Id");
    await user.type(field("Authorization URL"), "not a url");
    await user.type(field(/^Extra parameters/), "no pair");
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByText("6 entries are not valid.");
    for (const [label, text] of [
      ["Name", "Enter a value."],
      [/^Id/, "Use lower-case letters"],
      ["Authorization URL", "Enter a complete URL"],
      ["Token URL", "Enter a value."],
      ["Base URL", "Enter a value."],
      [/^Extra parameters/, "Write each line as name=value."],
    ] as const) {
      expect(field(label).getAttribute("aria-invalid"), String(label)).toBe("true");
      expect(description(label), String(label)).toContain(text);
    }
    expect(document.activeElement).toBe(field("Name"));
    expect(server.requests.some((one) => one.startsWith("POST /api"))).toBe(false);
    await expectAccessible();
    await user.type(field("Name"), "x");
    expect(field("Name").getAttribute("aria-invalid")).toBeNull();
    await page().findByText("5 entries are not valid.");
  });

  it.each([
    ["config.tokenUrl", "Token URL"],
    ["config.destinations[1]", /^Destinations/],
    ["config.extraAuthorizationParameters.prompt", /^Extra parameters/],
    ["secrets.clientId", /^Client id/],
    ["secrets.clientSecret", /^Client secret/],
    ["name", "Name"],
    ["auth_mode", "Account"],
  ] as const)("of the server are shown at their field: %s", async (path, label) => {
    // Where the redirect URI is generated, the credentials are entered later.
    const isCredential = path.startsWith("secrets.");
    const { server, user } = await startCreating(isCredential ? /GitHub/ : /OAuth 2/);
    for (const url of isCredential ? [] : ["Authorization URL", "Token URL", "Base URL"]) {
      await user.type(field(url), "https://id.example/x");
    }
    server.faults.set("POST /api/actions/connector", [
      400,
      "invalid_request",
      { field: path, detail: `${path}: is not allowed here` },
    ]);
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByText("The server does not accept this: is not allowed here");
    expect(description(label)).toContain("is not allowed here");
    expect(document.activeElement).toBe(field(label));
    expect(description(label)).not.toContain(`${path}:`);
  });

  it("of the server without a field of the form are shown above the buttons", async () => {
    const { server, user } = await startCreating(/GitHub/);
    server.faults.set("POST /api/actions/connector", [400, "host_not_allowed", { field: "config.other" }]);
    await user.click(page().getByRole("button", { name: "Create connector" }));
    expect((await page().findByRole("alert")).textContent).toContain("may not send requests to this host");
  });
});

describe("a form that is filled in", () => {
  const QUESTION = "Discard your entries?";

  it("is dropped only after a question", async () => {
    const { user } = await startCreating(/GitHub/);
    await user.type(field(/^Client id/), "client-1");
    for (const close of [
      () => user.click(page().getByRole("button", { name: "Cancel" })),
      () => user.click(page().getByRole("button", { name: "Choose another provider" })),
      () => user.selectOptions(screen.getByRole("combobox", { name: "Space" }), "Marketing"),
    ]) {
      await close();
      dialog().getByRole("heading", { name: QUESTION });
      await user.click(dialog().getByRole("button", { name: "Keep editing" }));
      expect(field(/^Client id/).value).toBe("client-1");
    }
    await user.click(page().getByRole("button", { name: "Cancel" }));
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Discard" }));
    await rowOf("GitHub");
  });

  it("in a dialog is also kept by the keys and buttons that close it", async () => {
    const { user } = await startEditing("Team wiki", "Tenant", new FakeServer());
    await user.type(field("Tenant"), "-2");
    for (const close of [
      () => user.click(dialog().getByRole("button", { name: "Cancel" })),
      () => user.click(dialog().getByRole("button", { name: "Close" })),
      () => user.keyboard("{Escape}"),
    ]) {
      await close();
      dialog().getByRole("heading", { name: QUESTION });
      await user.click(dialog().getByRole("button", { name: "Keep editing" }));
      expect(field("Tenant").value).toBe("contoso-2");
    }
    await user.click(dialog().getByRole("button", { name: "Cancel" }));
    await user.click(dialog().getByRole("button", { name: "Discard" }));
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("is closed without a question while it is as it was", async () => {
    const { user } = await startCreating(/GitHub/);
    await user.click(page().getByRole("button", { name: "Cancel" }));
    await rowOf("GitHub");
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("holds the back button and the closing of the page", async () => {
    window.history.pushState(null, "", "/?q=git");
    const { user } = await startCreating(/GitHub/);
    expect(fireEvent(window, new Event("beforeunload", { cancelable: true }))).toBe(true);
    await user.type(field(/^Client id/), "client-1");
    expect(fireEvent(window, new Event("beforeunload", { cancelable: true }))).toBe(false);
    window.history.pushState(null, "", "/?view=connections");
    window.dispatchEvent(new PopStateEvent("popstate"));
    await screen.findByRole("heading", { name: QUESTION });
    expect(window.location.search).toBe("?view=new&type=.github");
    await user.click(dialog().getByRole("button", { name: "Keep editing" }));
    expect(field(/^Client id/).value).toBe("client-1");
    window.history.pushState(null, "", "/?q=wiki");
    window.dispatchEvent(new PopStateEvent("popstate"));
    await user.click(await screen.findByRole("button", { name: "Discard" }));
    await waitFor(() => expect(window.location.search).toBe("?q=wiki"));
  });

  it("stays open when another user deletes the connector", async () => {
    const server = new FakeServer();
    const { user } = await startEditing("Team wiki", "Tenant", server);
    await user.type(field("Tenant"), "-2");
    server.connectors = server.connectors.filter(({ id }) => id !== "wiki");
    await user.click(dialog().getByRole("button", { name: "Save" }));
    expect((await dialog().findByRole("alert")).textContent).toContain("no longer exists");
    expect(field("Tenant").value).toBe("contoso-2");
  });
});

describe("a conflict", () => {
  it("with an id that is taken is shown at the id, and the list is read again", async () => {
    const server = new FakeServer();
    const { user } = await startCreating(/GitHub/, server);
    await user.type(field(/^Id/), "warehouse");
    const readings = () => server.requests.filter((one) => one === "GET /api/actions/connectors").length;
    const before = readings();
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByText("This id is taken. Choose another one.");
    expect(document.activeElement).toBe(field(/^Id/));
    await waitFor(() => expect(readings()).toBeGreaterThan(before));
    await user.clear(field(/^Id/));
    await user.type(field(/^Id/), "other");
    await user.click(page().getByRole("button", { name: "Create connector" }));
    await page().findByRole("heading", { name: "GitHub is created" });
  });

  it("with the edit of another user marks what changed, and the next attempt saves", async () => {
    const server = new FakeServer();
    const { user } = await startEditing("Warehouse API", "Token URL", server);
    const warehouse = stored(server, "warehouse");
    warehouse.config = { ...warehouse.config, tokenUrl: "https://id.example/new-token", scope: "all" };
    warehouse.revision = 7;
    await user.clear(field("Name"));
    await user.type(field("Name"), "Stock");
    await user.clear(field("Token URL"));
    await user.type(field("Token URL"), "https://id.example/mine");
    await user.click(dialog().getByRole("button", { name: "Save" }));
    expect((await dialog().findByRole("alert")).textContent).toContain("Nothing was saved");
    expect(description("Token URL")).toContain(
      "Another user changed this meanwhile to: https://id.example/new-token",
    );
    expect(description(/^Scope/)).toContain("to: all");
    expect(field("Name").getAttribute("aria-invalid")).toBeNull();
    expect(field("Name").value).toBe("Stock");
    expect(field("Token URL").value).toBe("https://id.example/mine");
    expect(field(/^Scope/).value).toBe("all");
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await screen.findByText("Stock was saved");
    expect(stored(server, "warehouse").config).toMatchObject({
      tokenUrl: "https://id.example/mine",
      scope: "all",
    });
  });
});

describe("an edit", () => {
  it("that only requires new consents asks with their number", async () => {
    const server = new FakeServer();
    const { user } = await startEditing("Team wiki", "Tenant", server);
    server.otherAffectedUsers = 2;
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await screen.findByRole("heading", { name: "This edit affects 2 users" });
    dialog().getByText("2 users must give a new consent.");
    await user.click(dialog().getByRole("button", { name: "Save anyway" }));
    await screen.findByText("Team wiki was saved");
  });

  it("that also disconnects users asks with both numbers", async () => {
    const server = new FakeServer();
    server.setConnection("default/wiki/u_bob");
    server.otherAffectedUsers = 2;
    const { user } = await startEditing("Team wiki", "Tenant", server);
    await user.type(field("Tenant"), "-2");
    await user.click(dialog().getByRole("button", { name: "Save" }));
    await screen.findByRole("heading", { name: "This edit disconnects one user" });
    dialog().getByText("In total, 3 users must give a new consent.");
    await expectAccessible();
  });
});
