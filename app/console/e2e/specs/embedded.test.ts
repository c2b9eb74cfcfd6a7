import { describe, expect, it } from "vitest";
import { suite } from "../harness/suite.ts";

const FOR_EVER = "public, max-age=31536000, immutable";
const on = suite();

/** Absolute addresses of the scripts and style sheets of a page. */
async function assetsOf(path: string): Promise<string[]> {
  const page = await (await fetch(on.site.url + path)).text();
  return [...page.matchAll(/(?:src|href)="([^"]+\.(?:js|css|svg))"/g)].map(
    ([, address]) => new URL(address as string, on.site.url + path).href,
  );
}

describe("the console in the binary", () => {
  it("R62 has pages that are not cached, and assets that are cached for ever", async () => {
    for (const path of ["/", "/s/marketing/", "/connect/files", "/s/marketing/connect/campaign-files"]) {
      const page = await fetch(on.site.url + path);
      expect(page.status, path).toBe(200);
      expect(page.headers.get("cache-control"), path).toBe("no-store");
      const assets = await assetsOf(path);
      expect(assets.length, path).toBeGreaterThan(1);
      for (const address of assets) {
        expect(address).toMatch(/\/assets\/[^/]+-[\w-]{8}\.(js|css|svg)$/);
        const asset = await fetch(address);
        expect(asset.status, address).toBe(200);
        expect(asset.headers.get("cache-control"), address).toBe(FOR_EVER);
        expect(asset.headers.get("x-content-type-options"), address).toBe("nosniff");
      }
    }
  });

  it("has no asset of another build", async () => {
    const [address] = await assetsOf("/");
    const missing = await fetch((address as string).replace(/-[\w-]{8}\./, "-AAAAAAAA."));
    expect(missing.status).toBe(404);
    expect(missing.headers.get("cache-control")).toBe("no-store");
  });

  it("is loaded once and then read from the cache", async () => {
    const { page } = await on.visitor();
    await page.goto("/");
    await page.getByLabel("User name").waitFor();
    await page.goto("/s/marketing/");
    await page.getByLabel("User name").waitFor();
    const requested = await page.evaluate(() =>
      performance
        .getEntriesByType("resource")
        .filter(({ name }) => name.includes("/assets/"))
        .map((entry) => (entry as PerformanceResourceTiming).transferSize),
    );
    expect(requested.length).toBeGreaterThan(1);
    expect(requested.filter((size) => size > 0)).toEqual([]);
  });
});
