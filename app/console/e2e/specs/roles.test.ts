import { describe, expect, it } from "vitest";
import { CONNECTORS, ROLES, SECRETS, USERS } from "../harness/demo.ts";
import { reset } from "../harness/flow.ts";
import { decide } from "../harness/provider.ts";
import { suite } from "../harness/suite.ts";

const { first, second, marketing } = CONNECTORS;
const on = suite();

describe.each(USERS)("%s", (user) => {
  it.each(["default", "marketing"] as const)(
    "can do what the role in %s allows, and no more",
    async (space) => {
      const { here, page } = await on.visit(user, { space });
      const name = space === "default" ? first.name : marketing.name;
      const role = ROLES[user][space];
      await here.row(name).waitFor();
      const isEditor = role !== "Viewer";
      await page.getByRole("button", { name: `More actions for ${name}`, exact: true }).click();
      expect(await page.getByRole("menuitem", { name: "Edit", exact: true }).count()).toBe(isEditor ? 1 : 0);
      expect(await page.getByRole("menuitem", { name: "Delete", exact: true }).count()).toBe(
        isEditor ? 1 : 0,
      );
      await page.keyboard.press("Escape");
      expect(await page.getByRole("button", { name: "New connector" }).count()).toBe(isEditor ? 1 : 0);
      expect(await page.getByRole("link", { name: "Connections" }).count()).toBe(role === "Admin" ? 1 : 0);

      // The server rejects the actions that are not shown.
      const prefix = space === "default" ? "" : `/s/${space}`;
      const statusOf = (path: string, method: string, body?: unknown) =>
        page.evaluate(
          async ([path, method, body]) =>
            (
              await fetch(path as string, {
                method: method as string,
                ...(body
                  ? { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
                  : {}),
              })
            ).status,
          [path, method, body] as const,
        );
      if (!isEditor) {
        expect(
          await statusOf(`${prefix}/api/actions/connector/x-new`, "POST", {
            name: "x",
            connector_type_id: ".oauth2",
            config: {},
          }),
        ).toBe(403);
        expect(await statusOf(`${prefix}/api/actions/connector/${first.id}`, "DELETE")).toBe(403);
      }
      if (role !== "Admin") {
        expect(await statusOf(`${prefix}/internal/actions/grants`, "GET")).toBe(403);
        expect(await statusOf(`/internal/actions/users/u_bob/grants`, "DELETE")).toBe(403);
      }
      expect(await statusOf("/s/elsewhere/api/actions/connectors", "GET")).toBe(404);
    },
  );
});

describe("an editor", () => {
  it("creates, edits with a warning, and deletes a connector", async () => {
    const { here, page } = await on.visit("alice");
    await page.getByRole("button", { name: "New connector" }).click();
    await page.getByRole("button", { name: /OAuth 2/ }).click();
    await page.getByLabel("Name").fill("Own server");
    await page.getByLabel(/^Id/).fill("own");
    await page.getByLabel(/^Authorization URL/).fill("https://id.example/authorize");
    await page.getByLabel(/^Token URL/).fill("https://id.example/token");
    await page.getByLabel(/base URL/i).fill("https://api.id.example");
    await page.getByRole("button", { name: "Create connector" }).click();
    await page.getByRole("heading", { name: "Own server is created" }).waitFor();
    expect(await page.locator(".copy-text code").textContent()).toMatch(/_oauth_context\/.+/);
    await page.getByLabel(/^Client id/).fill("client-1");
    await page.getByLabel(/^Client secret/).fill("SECRET-CANARY");
    await here.expectNoSecrets([/SECRET-CANARY/]);
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByRole("button", { name: "Done" }).click();
    await here.chooseMenu("Own server", "Edit");
    await here.dialog().getByLabel("Name").fill("Our server");
    await here.dialog().getByRole("button", { name: "Save" }).click();
    await here.expectToast("Our server was saved");
    await here.chooseMenu("Our server", "Delete");
    await here.dialog().getByRole("button", { name: "Delete connector" }).click();
    await here.expectToast("Our server was deleted");
    await here.expectNone(here.row("Our server"));
    await here.expectNoSecrets([/SECRET-CANARY/]);
  });

  it("sees how many users an edit disconnects, and disconnects them only after a confirmation", async () => {
    const alice = await on.visit("alice");
    const bob = await on.visit("bob");
    for (const [user, { here }] of [["alice", alice] as const, ["bob", bob] as const]) {
      await reset(here, second.name);
      await decide(await here.connect(second.name), "Allow", user);
      await here.expectStatus(second.name, "Connected");
    }
    const { here } = alice;
    await here.chooseMenu(second.name, "Edit");
    await here
      .dialog()
      .getByLabel(/^Client id/)
      .fill("another-client");
    await here.dialog().getByRole("button", { name: "Save" }).click();
    await here
      .dialog()
      .getByText(/Enter the client secret again/)
      .waitFor();
    expect(await alice.page.locator(":focus").getAttribute("name")).toBe("clientSecret");
    await alice.page.keyboard.type("demo-client-secret");
    await here.dialog().getByRole("button", { name: "Save" }).click();
    const warning = here.dialog().getByRole("heading", { name: "This edit disconnects 2 users" });
    await warning.waitFor();
    await here.dialog().getByRole("button", { name: "Cancel" }).click();
    await bob.page.reload();
    await bob.here.expectStatus(second.name, "Connected");

    await here.dialog().getByRole("button", { name: "Save" }).click();
    await warning.waitFor();
    await here.dialog().getByRole("button", { name: "Save and disconnect" }).click();
    await here.expectToast("2 users were disconnected");
    await here.expectStatus(second.name, "Reconnect needed");
    await bob.page.reload();
    await bob.here.expectStatus(second.name, "Reconnect needed");
    await bob.here.row(second.name).getByText("The connector was changed").waitFor();
  });
});

describe("an admin", () => {
  it("lists and revokes connections and removes a user, and sees no secret", async () => {
    const bob = await on.visit("bob");
    await reset(bob.here, first.name);
    await decide(await bob.here.connect(first.name), "Allow");
    await bob.here.expectStatus(first.name, "Connected");

    const carol = await on.visit("carol", { query: "?view=connections" });
    await carol.page.getByLabel("User", { exact: true }).fill("u_bob");
    await carol.page
      .getByRole("button", { name: new RegExp(`^Revoke the connection of .+ to ${first.name}$`) })
      .first()
      .click();
    await carol.here.dialog().getByRole("button", { name: "Revoke" }).click();
    await carol.here.expectToast("The connection was revoked");
    await carol.here.expectNoSecrets(SECRETS);
    await bob.page.bringToFront();
    await bob.page.reload();
    await bob.here.expectStatus(first.name, "Reconnect needed");
    await bob.here.row(first.name).getByText("An administrator ended it").waitFor();
    await decide(await bob.here.connect(first.name, "Reconnect"), "Allow");
    await bob.here.expectStatus(first.name, "Connected");

    await carol.page.getByRole("button", { name: "Remove or reinstate a user" }).click();
    await carol.here.dialog().getByRole("button", { name: /u_bob/ }).click();
    await carol.here.dialog().getByRole("textbox").fill("u_bob");
    await carol.here.dialog().getByRole("button", { name: "End all connections" }).click();
    await carol.here.expectToast("ended");
    await bob.page.reload();
    await bob.here.row(first.name).waitFor();
    await bob.here.expectNone(
      bob.page.getByRole("button", { name: `Disconnect ${first.name}`, exact: true }),
    );
    await bob.here.pressConnect(first.name);
    await bob.here.expectToast("An administrator removed this user");

    await carol.page.getByRole("button", { name: "Remove or reinstate a user" }).click();
    await carol.here.dialog().getByRole("button", { name: /u_bob/ }).click();
    await carol.here.dialog().getByRole("button", { name: "Reinstate" }).click();
    await carol.here.expectToast("can connect again");
    await decide(await bob.here.connect(first.name), "Allow");
    await bob.here.expectStatus(first.name, "Connected");
  });
});
