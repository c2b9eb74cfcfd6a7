import { describe, expect, it } from "vitest";
import { expectAccessible } from "../harness/axe.ts";
import { ConsolePage } from "../harness/console.ts";
import { CONNECTORS, SECRETS } from "../harness/demo.ts";
import { reset } from "../harness/flow.ts";
import { allowAsAnother, decide } from "../harness/provider.ts";
import { suite } from "../harness/suite.ts";
import { closedBy, newTab } from "../harness/tabs.ts";

const { first, second, marketing } = CONNECTORS;
const on = suite();

describe("in a new tab", () => {
  it("connects, and disconnects", async () => {
    const { here, page } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await here.expectStatus(first.name, "Connecting");
    await here.row(first.name).getByRole("timer").waitFor();
    await decide(tab, "Allow");
    await here.expectToast(`${first.name} is connected`);
    await here.expectStatus(first.name, "Connected");
    await here.expectNoSecrets(SECRETS);
    await here.disconnect(first.name);
    await here.expectToast(`${first.name} is disconnected`);
    await page.getByRole("button", { name: `Connect ${first.name}`, exact: true }).waitFor();
  });

  it("R63 gives the provider's page no opener", async () => {
    const { here } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await tab.getByLabel("User name").waitFor();
    expect(new URL(tab.url()).origin).not.toBe(on.site.url);
    expect(await tab.evaluate(() => window.opener)).toBeNull();
    await tab.close();
  });

  it("R29 leaves no code and no state in the history or the URL", async () => {
    const { here, context } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await decide(tab, "Allow");
    await tab.waitForURL(/_oauth_callback_result\//);
    expect(await tab.evaluate(() => document.URL)).not.toMatch(/[?&](code|state)=/);
    const devtools = await context.newCDPSession(tab);
    const { entries } = await devtools.send("Page.getNavigationHistory");
    const own = entries.map((entry) => entry.url).filter((url) => url.startsWith(on.site.url));
    expect(own.length).toBeGreaterThan(0);
    expect(own.filter((url) => /[?&](code|state)=/.test(url))).toEqual([]);
    await here.expectStatus(first.name, "Connected");
  });

  it("closes the result page", async () => {
    const { here } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await closedBy(tab, () => decide(tab, "Allow"));
    await here.expectStatus(first.name, "Connected");
  });

  it("reports a denied consent", async () => {
    const { here } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await decide(tab, "Deny");
    await here.expectToast(
      `${first.name} is not connected. Access was denied. Nothing was connected or changed.`,
    );
    await here.expectStatus(first.name, "Not connected");
  });

  it("continues to wait when the tab is closed, until the flow is cancelled", async () => {
    const { here, page } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await tab.getByLabel("User name").waitFor();
    await tab.close();
    await here.expectStatus(first.name, "Connecting");
    await page.reload();
    await here.expectStatus(first.name, "Connecting");
    await here.row(first.name).getByRole("timer").waitFor();
    await page.getByRole("button", { name: `Cancel connecting ${first.name}` }).click();
    await here.expectStatus(first.name, "Not connected");
  });

  it("can only be started again in another browser", async () => {
    const { here } = await on.visit("alice");
    await reset(here, first.name);
    await here.connect(first.name);
    await here.expectStatus(first.name, "Connecting");
    const other = await on.visit("alice");
    await other.here.expectStatus(first.name, "Connecting");
    expect(await other.page.getByRole("link", { name: "Open the sign-in page" }).count()).toBe(0);
    await other.page.getByRole("button", { name: `Start connecting ${first.name} again` }).click();
    await decide(await other.here.confirmInNewTab(), "Allow");
    await other.here.expectStatus(first.name, "Connected");
    await here.expectStatus(first.name, "Connected");
  });

  it("leads back to the sign-in page after its tab was closed", async () => {
    const { here, page, context } = await on.visit("alice");
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await tab.getByLabel("User name").waitFor();
    await tab.close();
    const link = page.getByRole("link", { name: `Open the sign-in page for ${first.name}` });
    await decide(await newTab(context, () => link.click()), "Allow");
    await here.expectStatus(first.name, "Connected");
    await here.expectNoSecrets(SECRETS);
  });

  it("reports that nothing changed when a reconnect is denied", async () => {
    const { here } = await on.visit("alice");
    await reset(here, first.name);
    await decide(await here.connect(first.name), "Allow");
    await here.expectStatus(first.name, "Connected");
    await here.chooseMenu(first.name, "Reconnect");
    await decide(await here.confirmInNewTab(), "Deny");
    await here.expectToast(`Nothing changed: ${first.name} is still connected. Access was denied.`);
    await here.expectStatus(first.name, "Connected");
    expect(await here.page.locator(".toast").count()).toBe(1);
  });

  it("shows never as the last use after connecting", async () => {
    const { here } = await on.visit("alice");
    await reset(here, first.name);
    await decide(await here.connect(first.name), "Allow");
    await here.expectStatus(first.name, "Connected");
    await here.row(first.name).getByText("Never").waitFor();
  });

  it("shows a link when the pop-up is blocked", async () => {
    const { here, page, context } = await on.visit("alice", {
      before: () => {
        window.open = () => null;
      },
    });
    await reset(here, first.name);
    await here.pressConnect(first.name);
    const link = page.getByRole("link", { name: "Open the sign-in page" });
    const tab = await newTab(context, () => link.click());
    await decide(tab, "Allow");
    await here.expectStatus(first.name, "Connected");
    await here.expectNone(page.getByRole("link", { name: "Open the sign-in page" }));
  });

  it("R32 finds the result within 5 s when channels are off", async () => {
    const { here } = await on.visit("alice", {
      before: () => {
        Reflect.deleteProperty(window, "BroadcastChannel");
      },
    });
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await decide(tab, "Allow");
    await tab.waitForURL(/_oauth_callback_result\//);
    await here.expectStatus(first.name, "Connected", 5_000);
  });

  it("R32 finds the result within 5 s when the opener cannot be reached", async () => {
    // With another opener policy than that of the launch page, the handle of the tab counts as closed at once.
    const { here } = await on.visit("alice", {
      before: () => {
        const open = window.open.bind(window);
        window.open = (url, target) => {
          open(url, target);
          return { closed: true, close: () => {}, location: {} } as unknown as Window;
        };
      },
    });
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await decide(tab, "Allow");
    await here.expectStatus(first.name, "Connected", 5_000);
  });

  it("connects two connectors at once", async () => {
    const { here } = await on.visit("alice");
    await reset(here, first.name);
    await reset(here, second.name);
    const one = await here.connect(first.name);
    const other = await here.connect(second.name);
    await decide(other, "Allow");
    await here.expectStatus(second.name, "Connected");
    await here.expectStatus(first.name, "Connecting");
    await decide(one, "Deny");
    await here.expectToast(`${first.name} is not connected`);
    await here.expectStatus(second.name, "Connected");
  });

  it("shows the same state in every tab", async () => {
    const { here, context } = await on.visit("alice");
    await reset(here, first.name);
    const there = new ConsolePage(await context.newPage());
    await there.open("alice");
    await there.expectStatus(first.name, "Not connected");
    const tab = await here.connect(first.name);
    await there.expectStatus(first.name, "Connecting");
    await there.page.getByRole("button", { name: `Cancel connecting ${first.name}` }).click();
    await there.expectStatus(first.name, "Not connected");
    await here.expectStatus(first.name, "Not connected");
    await tab.close();
  });
});

describe("with another account", () => {
  it("R24 connects it only after a confirmation, and keeps the previous one until then", async () => {
    const { here, page } = await on.visit("alice");
    await reset(here, first.name);
    await decide(await here.connect(first.name), "Allow", "alice");
    const account = (user: string) =>
      here.row(first.name).locator(".cell-fact", { hasText: `${user}@example.test` });
    await account("alice").waitFor();

    await here.chooseMenu(first.name, "Reconnect");
    await allowAsAnother(await here.confirmInNewTab(), "bob");
    await here.dialog().getByRole("heading", { name: "That is another account" }).waitFor();
    await account("alice").waitFor();
    const choose = async (choice: string) => {
      await here.dialog().getByRole("button", { name: choice, exact: true }).click();
      return here.confirmInNewTab();
    };
    await here
      .dialog()
      .getByText(
        `You used bob@example.test at the provider, but ${first.name} was last connected as alice@example.test.`,
      )
      .waitFor();
    await expectAccessible(page, "another account");
    await decide(await choose("Use alice@example.test"), "Allow", "bob");
    await here.dialog().getByText("You used bob@example.test").waitFor();
    await account("alice").waitFor();
    await decide(await choose("Replace it with bob@example.test"), "Allow", "bob");
    await account("bob").waitFor();
    await page.reload();
    await account("bob").waitFor();
  });
});

describe("in this tab", () => {
  it("navigates to the provider and returns to the same view", async () => {
    const { here, page } = await on.visit("bob", { space: "marketing" });
    await reset(here, marketing.name);
    await here.setting("Sign in to providers", "In this tab");
    await page.getByRole("radio", { name: /Not connected/ }).check({ force: true });
    await page.getByRole("searchbox").fill(marketing.id);
    await here.pressConnect(marketing.name);
    await decide(page, "Allow");
    await page.waitForURL((url) => url.pathname === "/s/marketing/");
    await here.expectToast(`${marketing.name} is connected`);
    expect(new URL(page.url()).search).toBe(`?q=${marketing.id}&status=not_connected`);
    await page.getByRole("radio", { name: /^All/ }).check({ force: true });
    await here.expectStatus(marketing.name, "Connected");
    await here.expectNoSecrets(SECRETS);
  });

  it("returns with the reason when consent is denied", async () => {
    const { here, page } = await on.visit("bob", { space: "marketing" });
    await reset(here, marketing.name);
    await here.setting("Sign in to providers", "In this tab");
    await here.pressConnect(marketing.name);
    await decide(page, "Deny");
    await here.expectToast("Access was denied. Nothing was connected or changed.");
    expect(new URL(page.url()).search).toBe("");
    await here.expectStatus(marketing.name, "Not connected");
  });
});
