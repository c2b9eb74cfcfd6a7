import { afterAll, beforeAll, expect, it } from "vitest";
import { newVisitor, startBrowser } from "../harness/browser.ts";
import { ConsolePage } from "../harness/console.ts";
import { isFake } from "../harness/demo.ts";
import { SIGN_IN, type StrictHost, startStrictHost } from "../harness/strict-host.ts";

let host: StrictHost | undefined;
let browser: Awaited<ReturnType<typeof startBrowser>>;

beforeAll(async () => {
  // The fake server has no callback for its host.
  [host, browser] = await Promise.all([isFake ? undefined : startStrictHost(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await host?.stop();
});

it("R03 a host with a strict session cookie knows the user of a callback", async () => {
  if (!host) {
    return;
  }
  const { url, provider, callbacks } = host;
  const { context, page, errors, close } = await newVisitor(browser, url);
  await page.goto(url + SIGN_IN);
  const created = await page.evaluate(async (provider) => {
    const config = {
      authorizationUrl: `${provider}/authorize`,
      tokenUrl: `${provider}/token`,
      baseUrl: provider,
    };
    const response = await fetch("/api/actions/connector/files", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        name: "Files",
        connector_type_id: ".oauth2",
        config,
        secrets: { clientId: "abc", clientSecret: "def" },
      }),
    });
    return `${response.status} ${await response.text()}`;
  }, provider);
  expect(created).toMatch(/^200 /);

  const here = new ConsolePage(page);
  await page.goto(`${url}/`);
  const [tab] = await Promise.all([context.waitForEvent("page"), here.connect("Files")]);
  await tab.getByRole("link", { name: "Allow" }).click();
  await tab.locator('#result[data-status="success"]').waitFor();
  await here.expectStatus("Files", "Connected");
  expect(callbacks).toEqual([false, true]);

  // Without a session, the page that opens the URL again leads to one that asks the user to sign in.
  await context.clearCookies({ name: "host_session" });
  const signedOut = await context.newPage();
  const redirectUri = encodeURIComponent(`${url}/api/actions/connector/_oauth_profile_callback`);
  await signedOut.goto(`${provider}/authorize?redirect_uri=${redirectUri}&state=s`);
  await signedOut.getByRole("link", { name: "Allow" }).click();
  await signedOut.getByRole("heading", { name: "Sign in, then reload this page" }).waitFor();
  expect(callbacks).toEqual([false, true, false, false]);

  await close();
  expect(errors).toEqual([]);
});
