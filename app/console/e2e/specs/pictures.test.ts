import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectAccessible } from "../harness/axe.ts";
import { newVisitor, startBrowser } from "../harness/browser.ts";
import { ConsolePage } from "../harness/console.ts";
import { CONNECTORS } from "../harness/demo.ts";
import { PIXELS, takePicture, takeShownPicture } from "../harness/pictures.ts";
import { decide } from "../harness/provider.ts";
import { type Site, startSite } from "../harness/server.ts";

const { first, second } = CONNECTORS;
const SIZES = { wide: { width: 1200, height: 760 }, narrow: { width: 360, height: 760 } };
/** Without the empty space at the bottom. */
const SHOWN_SIZES = { wide: { width: 1000, height: 470 }, narrow: { width: 360, height: 760 } };

let site: Site;
let browser: Browser;

beforeAll(async () => {
  [site, browser] = await Promise.all([startSite(), startBrowser()]);
});

afterAll(async () => {
  await browser?.close();
  await site?.stop();
});

describe.each(["light", "dark"] as const)("every view in %s", (colorScheme) => {
  it.each(["wide", "narrow"] as const)("is accessible, fits and violates no policy: %s", async (size) => {
    const viewport = SIZES[size];
    const visitor = await newVisitor(browser, site.url, { colorScheme, viewport, deviceScaleFactor: PIXELS });
    const { page } = visitor;
    const here = new ConsolePage(page);
    const shot = async (name: string) => {
      await takePicture(page, `${name}-${size}-${colorScheme}`);
      await expectAccessible(page, `${name} ${size} ${colorScheme}`);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow, `${name} is wider than the window`).toBeLessThanOrEqual(0);
    };

    await page.goto("/");
    await page.getByLabel("User name").waitFor();
    await shot("login");
    await here.signIn("carol");
    await here.row(first.name).waitFor();
    await addGitHub(page);
    await here.row("GitHub").waitFor();
    if (await page.getByRole("button", { name: `Connect ${first.name}`, exact: true }).isVisible()) {
      const tab = await here.connect(first.name);
      await decide(tab, "Allow", "carol");
      await here.expectStatus(first.name, "Connected");
      await tab.close();
    }
    const waiting = await here.connect(second.name);
    await here.expectStatus(second.name, "Connecting");
    await shot("connectors");
    await page.setViewportSize(SHOWN_SIZES[size]);
    await takeShownPicture(page, `console-${size}-${colorScheme}`);
    await page.setViewportSize(viewport);
    await waiting.close();
    await page.getByRole("button", { name: `Cancel connecting ${second.name}` }).click();
    await page.getByRole("button", { name: `Connect ${second.name}`, exact: true }).click();
    await shot("connect");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: first.name, exact: true }).click();
    await shot("details");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: `Disconnect ${first.name}`, exact: true }).click();
    await shot("disconnect");
    await page.keyboard.press("Escape");
    await here.openConnections(first.name);
    await here.connection("default").getByText("Connected", { exact: true }).waitFor();
    await shot("connections-dialog");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "New connector" }).click();
    await page.locator(".type-card svg").first().waitFor();
    await shot("providers");
    await page.locator('.type-card[value=".github"]').click();
    await page.getByRole("heading", { name: /^New connector: / }).waitFor();
    await shot("guide");
    await page.getByRole("button", { name: "Choose another provider" }).click();
    await page.getByRole("button", { name: /OAuth 2/ }).click();
    await page.getByLabel("Name").waitFor();
    await shot("editor");
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Account and settings" }).click();
    await shot("settings");
    await page.keyboard.press("Escape");
    await page.getByRole("searchbox").fill("nothing like this");
    await page.getByRole("heading", { name: "Nothing matches" }).waitFor();
    await shot("no-match");
    await page.getByRole("link", { name: "Connections" }).click();
    await page.getByRole("heading", { name: "Connections", level: 1 }).waitFor();
    await page.locator("tbody tr").first().waitFor();
    await shot("connections");
    await page.getByRole("button", { name: "Remove or reinstate a user" }).click();
    await here.dialog().getByRole("heading", { name: "Remove or reinstate a user" }).waitFor();
    await page.locator("dialog .user-list, dialog .empty").first().waitFor();
    await shot("users");
    await here.dialog().getByRole("button", { name: /carol/i }).click();
    await here.dialog().getByRole("button", { name: "End all connections" }).waitFor();
    await here
      .dialog()
      .getByRole("heading", { name: /^(This connection ends|These \d+ connections end)$/ })
      .waitFor();
    await shot("remove-user");
    await page.keyboard.press("Escape");
    await page.goto(`/connect/${first.id}`);
    await page.getByRole("heading", { name: "One moment" }).waitFor();
    await shot("launch");
    expect(visitor.errors).toEqual([]);
    await visitor.close();
  });
});

/** Adds a connector with a profile, if there is none. */
async function addGitHub(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const secrets = { clientId: "example", clientSecret: "example" };
    const body = { name: "GitHub", connector_type_id: ".github", config: {}, secrets };
    // The request fails where the connector exists already.
    await fetch("/api/actions/connector/github", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  });
  await page.reload();
}
