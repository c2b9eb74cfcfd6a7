import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { dialog, expectAccessible, renderConsole } from "./kit.tsx";

function withGrants(count = 2): FakeServer {
  const server = new FakeServer();
  for (let i = 0; i < count; i += 1) {
    server.setConnection(`default/github/u_${i}`, { account: `user${i}@github.example` });
  }
  return server;
}

const open = (server: FakeServer) => renderConsole({ as: "carol", path: "/?view=connections", server });

describe("connections", () => {
  it("are listed for admins", async () => {
    open(withGrants());
    const table = within(await screen.findByRole("table", { name: "Connections of this space" }));
    table.getByText("user0@github.example");
    expect(table.getAllByText("GitHub")).toHaveLength(2);
    await expectAccessible();
  });

  it("show their names, and are revoked one by one", async () => {
    const server = withGrants(1);
    server.setConnection("default/github/u_0", { name: "work", account: "work@github.example" });
    const { user } = open(server);
    const table = within(await screen.findByRole("table", { name: "Connections of this space" }));
    table.getByText("GitHub (work)");
    await user.click(screen.getByRole("button", { name: "Revoke the connection of u_0 to GitHub (work)" }));
    dialog().getByText("u_0 loses access to GitHub (work) at once and must connect again.");
    await user.click(dialog().getByRole("button", { name: "Revoke" }));
    await screen.findByText("The connection was revoked");
    expect([...server.connections.values()].map(({ status }) => status)).toEqual([
      "connected",
      "needs_reauthorization",
    ]);
  });

  it("are revoked after a confirmation", async () => {
    const server = withGrants();
    const { user } = open(server);
    await user.click(await screen.findByRole("button", { name: "Revoke the connection of u_1 to GitHub" }));
    await expectAccessible();
    await user.click(dialog().getByRole("button", { name: "Revoke" }));
    await screen.findByText("The connection was revoked");
    await within(screen.getByRole("table")).findByText("Revoked");
    expect(server.connections.get("default/github/u_1/default")).toMatchObject({ reason: "admin" });
  });

  it("are filtered by the server", async () => {
    const server = withGrants(3);
    const { user } = open(server);
    await screen.findByText("user2@github.example");
    await user.type(screen.getByLabelText("User"), "u_2");
    await waitFor(() => expect(screen.queryByText("user0@github.example")).toBeNull());
    await screen.findByText("user2@github.example");
    expect(server.requests.at(-1)).toBe("GET /internal/actions/grants?user=u_2");
    await user.selectOptions(screen.getByLabelText("Connector"), "Team wiki");
    await screen.findByText("No connection matches these filters.");
    await user.click(screen.getByRole("button", { name: "Clear search and filter" }));
    await screen.findByText("user0@github.example");
  });

  it("are listed page by page", async () => {
    const { user } = open(withGrants(60));
    await screen.findByText("user49@github.example");
    expect(screen.queryByText("user50@github.example")).toBeNull();
    await user.click(screen.getByRole("button", { name: "Show more" }));
    await screen.findByText("user59@github.example");
    expect(screen.queryByRole("button", { name: "Show more" })).toBeNull();
  });

  it("have an empty and an error state", async () => {
    const server = new FakeServer();
    server.faults.set("GET /internal/actions/grants", [400, "invalid_request"]);
    const { user } = open(server);
    await screen.findByRole("heading", { name: "The connections could not be loaded" });
    server.faults.clear();
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await screen.findByText("No user has connected an account yet.");
    await expectAccessible();
  });
});
