import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { CONNECTORS } from "../harness/demo.ts";
import { reset } from "../harness/flow.ts";
import { decide } from "../harness/provider.ts";
import { suite } from "../harness/suite.ts";

const { first } = CONNECTORS;
const on = suite();
const WIDE = { width: 1280, height: 800 };

/** The left edges of the columns. */
const columns = (page: Page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("thead th")].map((cell) => cell.getBoundingClientRect().x),
  );

/** The heights of the rows. */
const heights = (page: Page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("tbody tr")].map((row) => row.getBoundingClientRect().height),
  );

describe("the type scale", () => {
  it("is relative to the size of the browser, in four sizes and three weights", async () => {
    const { page, here } = await on.visit("carol", { viewport: WIDE });
    await here.row(first.name).waitFor();
    const used = () =>
      page.evaluate(() => {
        const styles = [...document.querySelectorAll("body, body *:not(svg, path, script, option)")].map(
          (element) => getComputedStyle(element),
        );
        const unique = (values: string[]) => [...new Set(values)].sort();
        return {
          sizes: unique(styles.map(({ fontSize }) => fontSize)),
          weights: unique(styles.map(({ fontWeight }) => fontWeight)),
        };
      });
    const allowed = ["12px", "14px", "16px", "24px"];
    const weights = ["400", "500", "600"];
    for (const open of [
      async () => {},
      async () => {
        await page.getByRole("button", { name: "New connector" }).click();
        await page.getByRole("list", { name: "Providers" }).waitFor();
      },
      async () => {
        await page.getByRole("button", { name: /OAuth 2/ }).click();
        await page.getByLabel("Name").waitFor();
      },
    ]) {
      await open();
      const { sizes, weights: found } = await used();
      expect(sizes.filter((size) => !allowed.includes(size))).toEqual([]);
      expect(found.filter((weight) => !weights.includes(weight))).toEqual([]);
    }
    expect(await page.evaluate(() => getComputedStyle(document.body).fontSize)).toBe("14px");
    expect(await page.evaluate(() => getComputedStyle(document.documentElement).fontSize)).toBe("16px");
  });
});

describe("the table", () => {
  it("has rows of 56 px, and columns that stay while a connector is connected", async () => {
    const { page, here } = await on.visit("alice", { viewport: WIDE });
    await reset(here, first.name);
    const before = await columns(page);
    expect(new Set(await heights(page))).toEqual(new Set([56]));
    const tab = await here.connect(first.name);
    await here.row(first.name).getByRole("timer").waitFor();
    expect(await columns(page)).toEqual(before);
    expect(new Set(await heights(page))).toEqual(new Set([56]));
    await decide(tab, "Allow");
    await here.expectStatus(first.name, "Connected");
    expect(await columns(page)).toEqual(before);
    expect(new Set(await heights(page))).toEqual(new Set([56]));
  });

  it.each([1280, 1100, 1024, 900, 700, 360])("has no text outside of its cell at %i px", async (width) => {
    const { page, here } = await on.visit("alice", { viewport: { width, height: 800 } });
    await reset(here, first.name);
    const tab = await here.connect(first.name);
    await here.row(first.name).getByRole("timer").waitFor();
    for (const language of ["English", "Deutsch"]) {
      await page.getByRole("button", { name: /Account and settings|Konto und Einstellungen/ }).click();
      await page.locator("[role=group] select").first().selectOption({ label: language });
      await page.keyboard.press("Escape");
      const outside = await page.evaluate(() =>
        [...document.querySelectorAll("td, th, .row-actions")]
          .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth + 1)
          .map((cell) => `${cell.className} ${cell.textContent}`),
      );
      expect(outside, language).toEqual([]);
      expect(
        await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
      ).toBeLessThanOrEqual(0);
    }
    await tab.close();
    await page.getByRole("button", { name: /^(Cancel connecting|Verbinden von) / }).click();
    await page.getByRole("timer").waitFor({ state: "detached" });
  });

  it("has badges of one height, in the middle of their line", async () => {
    const { page, here } = await on.visit("alice", { viewport: WIDE });
    await here.row(first.name).waitFor();
    const boxes = await page.evaluate(() =>
      [...document.querySelectorAll(".badge")].map((badge) => {
        const box = badge.getBoundingClientRect();
        const cell = badge.closest("td")?.getBoundingClientRect() ?? box;
        const content = badge.closest(".row-status")?.getBoundingClientRect() ?? box;
        return {
          height: box.height,
          offset: Math.abs(content.y + content.height / 2 - (cell.y + cell.height / 2)),
        };
      }),
    );
    expect(new Set(boxes.map(({ height }) => height))).toEqual(new Set([24]));
    expect(Math.max(...boxes.map(({ offset }) => offset))).toBeLessThanOrEqual(1);
  });
});
