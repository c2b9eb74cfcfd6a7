import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CONNECTORS, isFake, passwordOf } from "../harness/demo.ts";
import { freePort } from "../harness/server.ts";
import { suite } from "../harness/suite.ts";

const WEB = fileURLToPath(new URL("../../web/", import.meta.url));
const on = suite();

describe("the development server", () => {
  let url: string;
  let vite: ChildProcess;

  beforeAll(async () => {
    const port = await freePort();
    const program = join(dirname(createRequire(WEB).resolve("vite/package.json")), "bin/vite.js");
    // As `npm run dev`, at another port.
    vite = spawn(process.execPath, [program, "--port", String(port), "--strictPort"], {
      cwd: WEB,
      env: { ...process.env, GRANTRY_SERVER: on.site.url },
      stdio: "ignore",
    });
    url = `http://127.0.0.1:${port}`;
    const isUp = () =>
      fetch(`${url}/src/main.tsx`).then(
        ({ ok }) => ok,
        () => false,
      );
    while (vite.exitCode === null && !(await isUp())) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  afterAll(() => vite?.kill());

  it("serves the sources, and passes on only the routes of the server", async () => {
    const source = await fetch(`${url}/src/main.tsx`);
    expect(source.headers.get("content-type")).toContain("javascript");
    expect((await fetch(`${url}/api/session`)).status).toBe(401);
    expect((await fetch(`${url}/s/marketing/api/actions/connectors`)).status).toBe(401);
    const launch = `${url}/connect/${CONNECTORS.first.id}`;
    expect(await (await fetch(launch)).text()).toContain("/src/launch-page.ts");
    if (!isFake) {
      const withFlow = await fetch(`${launch}?flow=${"A".repeat(32)}`, { redirect: "manual" });
      expect(withFlow.headers.get("location")).toContain("/login?next=");
    }
  });

  it("shows the console", async () => {
    const { page } = await on.visitor({ baseURL: url });
    await page.goto("/s/marketing/");
    await page.getByLabel("User name").fill("alice");
    await page.getByLabel("Password").fill(passwordOf("alice"));
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(CONNECTORS.marketing.name).first().waitFor();
  });
});
