import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrowserContext, Page } from "playwright-core";

/** What became of a page that an attacker put into a frame. */
export interface Framed {
  /** Status the server answered the frame with. */
  status: number;
  /** Whether the browser showed it. */
  shown: boolean;
}

/**
 * Opens a page of an attacker that frames a URL. The attacker sits on another port of the same host: another origin, but
 * the same site, so that even lax cookies go with the frame's request.
 */
export async function frame(context: BrowserContext, url: string): Promise<Framed> {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html><title>x</title><iframe src="${url.replaceAll("&", "&amp;")}"></iframe>`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const page = await context.newPage();
  try {
    const answered = await listenFor(page, url);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const status = await answered();
    return { status, shown: page.frames().some((framed) => framed.url() === url) };
  } finally {
    await page.close();
    server.closeAllConnections();
    server.close();
  }
}

/** Listens for the answer below the browser's policies: a page it refuses to show has been answered all the same. */
async function listenFor(page: Page, url: string): Promise<() => Promise<number>> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  const asked = new Set<string>();
  const status = new Promise<number>((resolve) => {
    devtools.on("Network.requestWillBeSent", ({ requestId, request }) => {
      if (request.url === url) {
        asked.add(requestId);
      }
    });
    devtools.on("Network.responseReceivedExtraInfo", ({ requestId, statusCode }) => {
      if (asked.has(requestId)) {
        resolve(statusCode);
      }
    });
  });
  return () => status;
}
