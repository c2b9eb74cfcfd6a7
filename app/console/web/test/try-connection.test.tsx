import { screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { dialog, expectAccessible, menuItem, renderConsole, rowOf } from "./kit.tsx";

function connected(user = "alice"): FakeServer {
  const server = new FakeServer();
  server.setConnection(`default/github/u_${user}`, { account: "octocat" });
  return server;
}

async function openTry(server = connected(), as = "alice") {
  const here = renderConsole({ server, as });
  await here.user.click(menuItem("Try it", await rowOf("GitHub")));
  await dialog().findByRole("heading", { name: "Try GitHub" });
  return here;
}

describe("trying a connection", () => {
  it("shows the status of the response and the account", async () => {
    const { server, user } = await openTry(connected("bob"), "bob");
    expect(server.requests.some((one) => one.endsWith("/_try"))).toBe(false);
    await user.click(await dialog().findByRole("button", { name: "Try it" }));
    await dialog().findByText("The connection works.");
    dialog().getByText("200");
    dialog().getByText("octocat");
    expect(server.requests.at(-1)).toBe("POST /internal/actions/connector/github/_try");
    await expectAccessible();
  });

  it.each([
    [401, /The service refuses the request/],
    [403, /The service refuses the request/],
    [500, /not with the expected status/],
  ] as const)("reports the status %i", async (status, text) => {
    const server = connected();
    server.apiStatuses.set("github", status);
    const { user } = await openTry(server);
    await user.click(await dialog().findByRole("button", { name: "Try it" }));
    await dialog().findByText(text);
    dialog().getByText(String(status));
  });

  it("reports why no request was sent, and can be repeated", async () => {
    const { server, user } = await openTry();
    server.faults.set("POST /internal/actions/connector/github/_try", [409, "authorization_required"]);
    await user.click(await dialog().findByRole("button", { name: "Try it" }));
    await dialog().findByRole("alert");
    server.faults.clear();
    await user.click(dialog().getByRole("button", { name: "Try again" }));
    await dialog().findByText("The connection works.");
    expect(dialog().queryByRole("alert")).toBeNull();
  });

  it("is offered for each of several connections", async () => {
    const server = connected();
    server.setConnection("default/github/u_alice", { name: "work", account: "worker" });
    const { user } = await openTry(server);
    const work = within(dialog().getByRole("region", { name: "GitHub (work)" }));
    await user.click(await work.findByRole("button", { name: "Try it" }));
    await work.findByText("worker");
    await expectAccessible();
  });

  it("is offered only with a connection, and where the connector can be tried", async () => {
    const server = connected();
    server.setConnection("default/wiki/u_alice");
    renderConsole({ server });
    menuItem("Try it", await rowOf("GitHub"));
    expect(screen.getAllByRole("menuitem", { name: "Try it", hidden: true })).toHaveLength(1);
  });
});
