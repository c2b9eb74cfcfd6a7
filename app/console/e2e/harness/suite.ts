import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { newVisitor, startBrowser, type Visitor } from "./browser.ts";
import { ConsolePage } from "./console.ts";
import type { Person } from "./demo.ts";
import { type Site, type SiteOptions, startSite } from "./site.ts";

/** A site and a browser for one file of tests, and people who visit it. */
export interface Suite {
  readonly site: Site;
  /** Opens a browser of its own for somebody, signed in and in the console. */
  visit(person: Person, options?: VisitOptions): Promise<Visit>;
  /** Opens a browser of its own for nobody yet. */
  visitor(options?: BrowserContextOptions): Promise<Visitor>;
}

export interface VisitOptions extends BrowserContextOptions {
  space?: string;
  query?: string;
  /** Runs in every page before its own scripts. */
  before?: () => void;
}

export interface Visit extends Visitor {
  readonly here: ConsolePage;
}

/**
 * Sets a suite up. After every test all its browsers are closed, and none may have complained: no violation of a
 * content security policy, no error in a script.
 */
export function suite(options: SiteOptions = {}): Suite {
  let site: Site | undefined;
  let browser: Browser | undefined;
  let visitors: Visitor[] = [];

  beforeAll(async () => {
    [site, browser] = await Promise.all([startSite(options), startBrowser()]);
  });
  afterEach(async () => {
    const complaints = visitors.flatMap((visitor) => visitor.complaints);
    await Promise.all(visitors.map((visitor) => visitor.close()));
    visitors = [];
    expect(complaints).toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.stop();
  });

  const started = () => {
    if (!site || !browser) {
      throw new Error("the suite has not started");
    }
    return { site, browser };
  };
  const visitor = async (options: BrowserContextOptions = {}) => {
    const { site, browser } = started();
    const opened = await newVisitor(browser, site.url, options);
    visitors.push(opened);
    return opened;
  };
  return {
    get site() {
      return started().site;
    },
    visitor,
    visit: async (person, { space, query, before, ...options } = {}) => {
      const opened = await visitor(options);
      if (before) {
        await opened.context.addInitScript(before);
      }
      const here = new ConsolePage(opened.page);
      await here.open(person, space, query);
      await here.page.getByRole("heading", { level: 1, name: /Connectors|Connections/ }).waitFor();
      return { ...opened, here };
    },
  };
}
