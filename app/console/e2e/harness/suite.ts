import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { newVisitor, startBrowser, type Visitor } from "./browser.ts";
import { ConsolePage } from "./console.ts";
import type { User } from "./demo.ts";
import { type Site, type SiteOptions, startSite } from "./server.ts";

/** A site and a browser for one test file. */
export interface Suite {
  readonly site: Site;
  /** Opens a separate browser with the console, signed in as a user. */
  visit(user: User, options?: VisitOptions): Promise<Visit>;
  /** Opens a separate browser, signed out. */
  visitor(options?: BrowserContextOptions): Promise<Visitor>;
}

export interface VisitOptions extends BrowserContextOptions {
  space?: string;
  query?: string;
  /** Runs in every page before the scripts of the page. */
  before?: () => void;
}

export interface Visit extends Visitor {
  readonly here: ConsolePage;
}

/**
 * Sets up a suite. After every test all its browsers are closed; none may have reported an error: no violation of a
 * content security policy, no script error.
 */
export function suite(options: SiteOptions = {}): Suite {
  let site: Site | undefined;
  let browser: Browser | undefined;
  let visitors: Visitor[] = [];

  beforeAll(async () => {
    [site, browser] = await Promise.all([startSite(options), startBrowser()]);
  });
  afterEach(async () => {
    const errors = visitors.flatMap((visitor) => visitor.errors);
    await Promise.all(visitors.map((visitor) => visitor.close()));
    visitors = [];
    expect(errors).toEqual([]);
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
    visit: async (user, { space, query, before, ...options } = {}) => {
      const opened = await visitor(options);
      if (before) {
        await opened.context.addInitScript(before);
      }
      const here = new ConsolePage(opened.page);
      await here.open(user, space, query);
      await here.page.getByRole("heading", { level: 1, name: /Connectors|Connections/ }).waitFor();
      return { ...opened, here };
    },
  };
}
