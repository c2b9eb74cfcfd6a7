import type { Request } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startBelowPath } from "../harness/below-path.ts";
import { newVisitor, startBrowser } from "../harness/browser.ts";
import { ConsolePage } from "../harness/console.ts";
import { isFake } from "../harness/demo.ts";
import type { Site } from "../harness/server.ts";

const PATH = "/apps/grantry";
const PROVIDER = "https://id.example.com";

describe.each(["kept", "removed"] as const)("below a path that the proxy has %s", (prefix) => {
  let site: Site | undefined;
  let browser: Awaited<ReturnType<typeof startBrowser>>;

  beforeAll(async () => {
    // The fake server serves the root only.
    [site, browser] = await Promise.all([isFake ? undefined : startBelowPath(PATH, prefix), startBrowser()]);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.stop();
  });

  it("the console signs in, shows the names, changes the space, and reaches a provider", async () => {
    if (!site) {
      return;
    }
    const { url: base } = site;
    const { context, page, errors, close } = await newVisitor(browser, base);
    const outside: string[] = [];
    context.on("request", (request) => {
      const url = new URL(request.url());
      if (url.origin === new URL(base).origin && !url.pathname.startsWith(`${PATH}/`)) {
        outside.push(url.pathname);
      }
    });
    const here = new ConsolePage(page);

    await page.goto(`${base}/`);
    await here.signIn("carol");
    await page.getByRole("heading", { level: 1, name: "Connectors" }).waitFor();
    await page.getByRole("button", { name: /Carol Example/ }).waitFor();
    const spaces = page.getByRole("combobox", { name: "Space" });
    expect(await spaces.locator("option").allTextContents()).toEqual(["Company", "Marketing & Sales"]);
    await spaces.selectOption("Marketing & Sales");
    expect(new URL(page.url()).pathname).toBe(`${PATH}/s/marketing/`);
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Connectors" }).waitFor();

    const created = await page.evaluate(async (path) => {
      const config = {
        authorizationUrl: "https://id.example.com/a",
        tokenUrl: "https://id.example.com/t",
        baseUrl: "https://api.example.com",
      };
      const secrets = { clientId: "abc", clientSecret: "def" };
      const response = await fetch(`${path}/api/actions/connector/files`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ name: "Files", connector_type_id: ".oauth2", config, secrets }),
      });
      return response.status;
    }, PATH);
    expect(created).toBe(200);
    await page.goto(`${base}/`);
    const isToProvider = (request: Request) => request.url().startsWith(PROVIDER);
    const [request] = await Promise.all([
      context.waitForEvent("request", isToProvider),
      here.connect("Files"),
    ]);
    const { searchParams } = new URL(request.url());
    const redirectUri = searchParams.get("redirect_uri") ?? "";
    expect(redirectUri).toContain(`${base}/api/actions/connector/_oauth_context/`);

    // The provider's response: the result page and its assets are below the path as well.
    const tab = await context.newPage();
    await tab.goto(`${redirectUri}?error=access_denied&state=${searchParams.get("state")}`);
    await tab.getByRole("heading", { name: "Access was denied" }).waitFor();
    expect(new URL(tab.url()).pathname).toMatch(
      new RegExp(`^${PATH}/api/actions/connector/_oauth_callback_result/`),
    );
    await here.expectStatus("Files", "Not connected");

    const preferences = (await context.cookies(`${base}/`)).filter(({ name }) =>
      /^grantry_(language|theme)$/.test(name),
    );
    expect(preferences.map(({ name, path }) => [name, path]).sort()).toEqual([
      ["grantry_language", PATH],
      ["grantry_theme", PATH],
    ]);

    await close();
    expect(outside).toEqual([]);
    expect(errors).toEqual([]);
  });
});
