import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";
import { passwordOf } from "./demo.ts";
import { newTab } from "./tabs.ts";

/** The console, operated by its texts. */
export class ConsolePage {
  constructor(readonly page: Page) {}

  /** Opens a space, and signs in where required. */
  async open(user: string, space = "default", query = ""): Promise<void> {
    await this.page.goto(space === "default" ? `/${query}` : `/s/${space}/${query}`);
    const userName = this.page.getByLabel("User name");
    const heading = this.page.getByRole("heading", { level: 1 });
    await userName.or(heading).first().waitFor();
    if (await userName.isVisible()) {
      await this.signIn(user);
    }
  }

  async signIn(user: string, password = passwordOf(user)): Promise<void> {
    await this.page.getByLabel("User name").fill(user);
    await this.page.getByLabel("Password").fill(password);
    await this.page.getByRole("button", { name: "Sign in" }).click();
  }

  row(name: string): Locator {
    return this.page.getByRole("row").filter({ has: this.page.getByRole("button", { name, exact: true }) });
  }

  /** Presses connect, confirms the consent, and returns the new tab. */
  async connect(name: string, button: "Connect" | "Reconnect" = "Connect"): Promise<Page> {
    await this.page.getByRole("button", { name: `${button} ${name}`, exact: true }).click();
    return this.confirmInNewTab();
  }

  /** Presses connect and confirms the consent, without a new tab. */
  async pressConnect(name: string, button: "Connect" | "Reconnect" = "Connect"): Promise<void> {
    await this.page.getByRole("button", { name: `${button} ${name}`, exact: true }).click();
    await this.confirmConsent();
  }

  async disconnect(name: string): Promise<void> {
    await this.page.getByRole("button", { name: `Disconnect ${name}`, exact: true }).click();
    await this.dialog().getByRole("button", { name: "Disconnect" }).click();
  }

  dialog(): Locator {
    return this.page.getByRole("dialog").last();
  }

  /** Opens the dialog of a connector that lists the connections. */
  async openConnections(name: string): Promise<void> {
    await this.chooseMenu(name, "Connections");
    await this.dialog()
      .getByRole("heading", { name: `Connections of ${name}` })
      .waitFor();
  }

  /** Adds a connection in that dialog, confirms the consent, and returns the new tab. */
  async addConnection(connection: string): Promise<Page> {
    await this.requestConnection(connection);
    return this.confirmInNewTab();
  }

  /** Adds a connection in that dialog and confirms the consent, without a new tab. */
  async pressAddConnection(connection: string): Promise<void> {
    await this.requestConnection(connection);
    await this.confirmConsent();
  }

  /** One connection in the dialog that lists them. */
  connection(name: string): Locator {
    return this.page.getByRole("listitem").filter({ has: this.page.getByText(name, { exact: true }) });
  }

  async chooseMenu(name: string, item: string): Promise<void> {
    await this.page.getByRole("button", { name: `More actions for ${name}`, exact: true }).click();
    await this.page
      .getByRole("menu", { name: `More actions for ${name}` })
      .getByRole("menuitem", { name: item })
      .click();
  }

  async setting(label: string, option: string): Promise<void> {
    const button = this.page.getByRole("button", { name: "Account and settings" });
    await button.click();
    await this.page
      .getByRole("group", { name: "Account and settings" })
      .getByLabel(label)
      .selectOption(option);
    await this.page.keyboard.press("Escape");
  }

  async expectStatus(name: string, status: string, timeout = 10_000): Promise<void> {
    await this.row(name).locator(".badge", { hasText: status }).waitFor({ timeout });
  }

  async expectToast(text: string, timeout = 10_000): Promise<void> {
    await this.page.getByRole("region", { name: "Notifications" }).getByText(text).waitFor({ timeout });
  }

  /** Waits until nothing matches: what an action removes can be on the page a moment longer than the message about it. */
  async expectNone(locator: Locator): Promise<void> {
    await expect.poll(() => locator.count(), { timeout: 10_000 }).toBe(0);
  }

  /** Fails if a script could read a secret. */
  async expectNoSecrets(secrets: readonly RegExp[]): Promise<void> {
    const seen = await this.page.evaluate(() =>
      [
        document.documentElement.outerHTML,
        document.URL,
        JSON.stringify(history.state),
        JSON.stringify({ ...localStorage }),
        JSON.stringify({ ...sessionStorage }),
      ].join("\n"),
    );
    for (const secret of secrets) {
      expect(seen).not.toMatch(secret);
    }
  }

  private async requestConnection(connection: string): Promise<void> {
    await this.dialog().getByLabel("Name").fill(connection);
    await this.dialog().getByRole("button", { name: "Add connection" }).click();
  }

  /** Confirms the consent in the dialog, and returns the new tab. */
  async confirmInNewTab(): Promise<Page> {
    return newTab(this.page.context(), () => this.confirmConsent());
  }

  private async confirmConsent(): Promise<void> {
    await this.dialog()
      .getByRole("button", { name: /^Go to / })
      .click();
  }
}
