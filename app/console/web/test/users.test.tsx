import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { dialog, expectAccessible, renderConsole, rowOf } from "./kit.tsx";

const OPEN = "Remove or reinstate a user";

function withBob(): FakeServer {
  const server = new FakeServer();
  server.setConnection("default/github/u_bob", { account: "bob@github.example" });
  server.setConnection("marketing/github/u_bob", { name: "work", status: "needs_reauthorization" });
  server.setConnection("default/github/u_alice", { account: "alice@github.example" });
  return server;
}

async function openUsers(server: FakeServer) {
  const here = renderConsole({ as: "carol", path: "/?view=connections", server });
  await here.user.click(await screen.findByRole("button", { name: OPEN }));
  await dialog().findByRole("list", { name: "Users" });
  return here;
}

const pick = (name: RegExp) => dialog().getByRole("button", { name });
const confirmation = () => dialog().getByRole<HTMLInputElement>("textbox");
const remove = () => dialog().getByRole("button", { name: "End all connections" });

describe("removing a user", () => {
  it("lists the users with name and id, and finds them by either", async () => {
    const { user } = await openUsers(withBob());
    expect(pick(/Alice Archer/).textContent).toContain("u_alice");
    await expectAccessible();
    await user.type(dialog().getByRole("searchbox"), "u_bob");
    expect(dialog().getAllByRole("listitem")).toHaveLength(1);
    await user.clear(dialog().getByRole("searchbox"));
    await user.type(dialog().getByRole("searchbox"), "nobody here");
    await dialog().findByText("No user matches");
  });

  it("describes what it does and lists what ends, in every space", async () => {
    const { user } = await openUsers(withBob());
    await user.click(pick(/Bob Baker/));
    dialog().getByRole("heading", { name: "Remove Bob Baker?" });
    dialog().getByText(/Until an administrator reinstates the user, no new connection is possible/);
    const ends = within(await dialog().findByRole("region", { name: "These 2 connections end" }));
    expect(ends.getAllByRole("listitem").map((item) => item.textContent)).toEqual([
      "GitHubDefault · bob@github.example · Connected",
      "GitHub (campaigns) (work)Marketing · Reconnect needed",
    ]);
    await expectAccessible();
  });

  it("requires the name or the id of exactly this user", async () => {
    const server = withBob();
    const { user } = await openUsers(server);
    await user.click(pick(/Bob Baker/));
    await waitFor(() => expect(document.activeElement).toBe(confirmation()));
    for (const wrong of ["", "u_alice", "bob"]) {
      await user.clear(confirmation());
      if (wrong) {
        await user.type(confirmation(), wrong);
      }
      await user.click(remove());
      await dialog().findByText("This is not the name or the id of this user. Nothing was changed.");
      expect(confirmation().getAttribute("aria-invalid")).toBe("true");
      expect(document.activeElement).toBe(confirmation());
    }
    expect(server.requests.filter((one) => one.startsWith("DELETE"))).toEqual([]);
    await user.clear(confirmation());
    await user.type(confirmation(), "Bob Baker");
    await user.click(remove());
    await screen.findByText("Bob Baker was removed. 2 connections were ended. Pending revocations: 2");
    expect([...server.connections.keys()]).toEqual(["default/github/u_alice/default"]);
    expect(server.deprovisioned.has("u_bob")).toBe(true);
  });

  it("reports that no connection ended where there was none", async () => {
    const { user } = await openUsers(new FakeServer());
    await user.click(pick(/Bob Baker/));
    await dialog().findByText("This user has no connections, so none ends.");
    await user.type(confirmation(), "u_bob");
    await user.click(remove());
    await screen.findByText("Bob Baker was removed. There was no connection to end");
  });

  it("reports at the field that the user does not exist", async () => {
    const server = withBob();
    server.otherUsers = [{ id: "u_gone", name: "Gone", disabled: true }];
    const { user } = await openUsers(server);
    expect(pick(/Gone/).textContent).toContain("Disabled");
    await user.click(pick(/Gone/));
    await dialog().findByText(/no connections/);
    server.otherUsers = [];
    await user.type(confirmation(), "u_gone");
    await user.click(remove());
    await dialog().findByText("This user does not exist. Nothing was changed.");
    expect(confirmation().getAttribute("aria-invalid")).toBe("true");
    expect(confirmation().getAttribute("aria-describedby")).toMatch(/error/);
    expect(server.deprovisioned.size).toBe(0);
    await expectAccessible();
  });
});

describe("reinstating a user", () => {
  it("lets a removed user connect again", async () => {
    const server = withBob();
    server.deprovisioned.set("u_bob", "2026-06-01T10:00:00Z");
    const { user } = await openUsers(server);
    expect(pick(/Bob Baker/).textContent).toContain("Removed Jun 1, 2026");
    await user.click(pick(/Bob Baker/));
    dialog().getByText(/Connections that ended stay ended/);
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Reinstate" }));
    await screen.findByText("Bob Baker can connect again");
    expect(server.deprovisioned.size).toBe(0);
  });

  it("is needed before the user can start a flow", async () => {
    const server = new FakeServer();
    server.deprovisioned.set("u_bob", "2026-06-01T10:00:00Z");
    const { user } = renderConsole({ as: "bob", server });
    await rowOf("GitHub");
    await user.click(screen.getByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByText(/An administrator removed this user, so no connection is possible/);
  });
});

describe("the connections of all users", () => {
  it("can be revoked wherever there are tokens, also where a new consent is needed", async () => {
    const server = new FakeServer();
    server.setConnection("default/github/u_bob", {
      status: "needs_reauthorization",
      reason: "insufficient_scope",
    });
    const { user } = renderConsole({ as: "carol", path: "/?view=connections", server });
    const table = within(await screen.findByRole("table"));
    table.getByText("More permissions are required");
    await user.click(
      await table.findByRole("button", { name: "Revoke the connection of Bob Baker to GitHub" }),
    );
    await user.click(dialog().getByRole("button", { name: "Revoke" }));
    await table.findByText("Ended by Carol Cook");
    expect(table.queryByRole("button", { name: /^Revoke/ })).toBeNull();
    await expectAccessible();
  });

  it("show by whom and when they were ended", async () => {
    const server = withBob();
    server.ended.set("default/github/u_bob/default", { by: "u_carol", at: "2026-06-01T10:00:00Z" });
    server.ended.set("default/github/u_alice/default", { by: "system", at: "2026-06-02T10:00:00Z" });
    renderConsole({ as: "carol", path: "/?view=connections", server });
    const note = async (text: string) => (await screen.findByText(text)).parentElement?.textContent;
    expect(await note("Ended by Carol Cook")).toBe("Ended by Carol CookJun 1, 2026");
    expect(await note("Ended by the system")).toBe("Ended by the systemJun 2, 2026");
    expect(screen.queryByRole("button", { name: /^Revoke/ })).toBeNull();
  });

  it("can be revoked where they ended and the tokens are still valid at the provider", async () => {
    const server = withBob();
    const key = "default/github/u_bob/default";
    server.ended.set(key, { by: "system", at: "2026-06-01T10:00:00Z" });
    server.pendingRevocations.add(key);
    const { user } = renderConsole({ as: "carol", path: "/?view=connections", server });
    await screen.findByText("Ended by the system");
    const name = "Revoke the connection of Bob Baker to GitHub";
    await user.click(screen.getByRole("button", { name }));
    await user.click(dialog().getByRole("button", { name: "Revoke" }));
    await screen.findByText("Ended by Carol Cook");
    expect(screen.queryByRole("button", { name })).toBeNull();
  });

  it("show the ids where the names cannot be read", async () => {
    const server = withBob();
    server.faults.set("GET /internal/actions/users", [403, "forbidden"]);
    renderConsole({ as: "carol", path: "/?view=connections", server });
    await screen.findByText("u_bob");
  });
});
