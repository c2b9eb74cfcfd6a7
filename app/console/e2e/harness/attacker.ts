import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrowserContext, Page } from "playwright-core";

/** The result of a page in a frame of an attacker. */
export interface Framed {
  /** Status of the response to the frame. */
  status: number;
  /** Whether the browser showed it. */
  shown: boolean;
}

/**
 * Opens a page of an attacker that frames a URL. The attacker uses another port of the same host: another origin, but the
 * same site, so that also lax cookies are sent with the request of the frame.
 */
export async function frame(context: BrowserContext, url: string): Promise<Framed> {
  const server = createServer((_request, response) => {
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html><title>x</title><iframe src="${url.replaceAll("&", "&amp;")}"></iframe>`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const page = await context.newPage();
  try {
    const responded = await listenFor(page, url);
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    const status = await responded();
    return { status, shown: page.frames().some((framed) => framed.url() === url) };
  } finally {
    await page.close();
    server.closeAllConnections();
    server.close();
  }
}

/** Listens for the response below the policies of the browser, which hide the response of a page that they block. */
async function listenFor(page: Page, url: string): Promise<() => Promise<number>> {
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Network.enable");
  const requested = new Set<string>();
  const status = new Promise<number>((resolve) => {
    devtools.on("Network.requestWillBeSent", ({ requestId, request }) => {
      if (request.url === url) {
        requested.add(requestId);
      }
    });
    devtools.on("Network.responseReceivedExtraInfo", ({ requestId, statusCode }) => {
      if (requested.has(requestId)) {
        resolve(statusCode);
      }
    });
  });
  return () => status;
}
