import { screen, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import de from "../src/i18n/de.json";
import { dialog, expectAccessible, menuItem, renderConsole, rowOf } from "./kit.tsx";

async function openTest(server = new FakeServer()) {
  const here = renderConsole({ server });
  await here.user.click(menuItem("Test connector", await rowOf("GitHub")));
  dialog().getByRole("heading", { name: "Test GitHub" });
  const test = async () =>
    here.user.click(await dialog().findByRole("button", { name: /^Test (connector|again)$/ }));
  return { ...here, test };
}

/** The texts of the results, in their order. */
const results = async () =>
  (await dialog().findAllByRole("listitem")).map((item) => within(item).getAllByText(/./)[0]?.textContent);

describe("the test of a connector", () => {
  it("is sent when the editor asks for it, and shows one line for each check", async () => {
    const { server, test } = await openTest();
    expect(server.requests.some((one) => one.endsWith("/_test"))).toBe(false);
    await test();
    expect(await results()).toEqual([
      "Settings: In order",
      "Addresses: In order",
      "Client id and secret: In order",
      "API: Not shown by this test",
      "Redirect URI: Not shown by this test",
    ]);
    dialog().getByText("http://127.0.0.1:8080/api/actions/connector/_oauth_callback");
    expect(server.requests.at(-1)).toBe("POST /internal/actions/connector/github/_test");
    await expectAccessible();
  });

  it("announces its results", async () => {
    const { test } = await openTest();
    await dialog().findByRole("button", { name: "Test connector" });
    const region = dialog().getByRole("status");
    expect(region.textContent).toBe("");
    await test();
    await within(region).findAllByRole("listitem");
  });

  it("shows what is known about a check that failed", async () => {
    const server = new FakeServer();
    server.tests.set("github", {
      results: [
        { name: "settings", ok: true, detail: "complete" },
        { name: "endpoints", ok: true, detail: "reached" },
        {
          name: "client",
          ok: false,
          detail: "client_refused",
          http_status: 401,
          oauth_error: "invalid_client",
          endpoint_host: "github.com",
          hint: "the client secret has expired",
        },
        { name: "api", detail: "api_refused", http_status: 403, endpoint_host: "api.github.com" },
        { name: "redirect_uri", detail: "to_register" },
      ],
      redirect_uri: "http://127.0.0.1:8080/here",
    });
    const { test } = await openTest(server);
    await test();
    const item = (await dialog().findByText("The provider refuses them. Enter them again.")).closest("li");
    const shown = within(item as HTMLElement);
    for (const text of ["401", "invalid_client", "github.com", "the client secret has expired"]) {
      shown.getByText(text);
    }
    expect(shown.getByText("the client secret has expired").lang).toBe("en");
    const api = (await dialog().findByText(/^The API refused the request/)).closest("li");
    within(api as HTMLElement).getByText("api.github.com");
    await expectAccessible();
  });

  it("shows the field of a setting that is missing, and no redirect URI without one", async () => {
    const server = new FakeServer();
    server.tests.set("github", {
      results: [
        { name: "settings", ok: false, detail: "missing", field: "secrets.clientSecret" },
        { name: "endpoints", ok: true, detail: "resolved" },
        { name: "client", detail: "not_tested" },
        { name: "api", detail: "not_tested" },
        { name: "redirect_uri", detail: "not_tested" },
      ],
    });
    const { test } = await openTest(server);
    await test();
    await dialog().findByText("secrets.clientSecret");
    expect(dialog().queryByRole("button", { name: /Redirect URI/ })).toBeNull();
  });

  it("shows a text for a detail of a newer server", async () => {
    const server = new FakeServer();
    server.tests.set("github", { results: [{ name: "client", ok: false, detail: "toString" }] });
    const { test } = await openTest(server);
    await test();
    await dialog().findByText("The provider refused the request for another reason.");
  });

  it("shows why it was not done, and can be repeated", async () => {
    const { server, test } = await openTest();
    server.faults.set("POST /internal/actions/connector/github/_test", [429, "rate_limited"]);
    await test();
    expect((await dialog().findByRole("alert")).textContent).toMatch(/too many/i);
    server.faults.clear();
    await test();
    expect(await results()).toHaveLength(5);
    expect(dialog().queryByRole("alert")).toBeNull();
  });

  it("is offered to editors only, and not for a connector that is damaged", async () => {
    const server = new FakeServer();
    Object.assign(server.connectors.find(({ id }) => id === "wiki") ?? {}, { is_tampered: true });
    renderConsole({ server });
    expect(
      within(await rowOf("Team wiki")).queryByRole("menuitem", { name: "Test connector", hidden: true }),
    ).toBeNull();
    menuItem("Test connector", await rowOf("GitHub"));
  });

  it("is not offered to viewers", async () => {
    renderConsole({ as: "bob" });
    await rowOf("GitHub");
    expect(screen.queryByRole("menuitem", { name: "Test connector", hidden: true })).toBeNull();
  });

  it("is shown in German", async () => {
    localStorage.setItem("grantry.language", "de");
    const { user } = renderConsole();
    await user.click(menuItem(de.connectors.test, await rowOf("GitHub")));
    await user.click(await dialog().findByRole("button", { name: de.connectors.test }));
    await dialog().findByText(de.test.detail_accepted);
  });
});
