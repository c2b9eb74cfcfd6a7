import { HttpDouble } from "../../testing/http-double.ts";
import { startServer } from "./server.ts";

/** What the browser tests run against. */
export interface Site {
  /** Origin of the console. */
  readonly url: string;
  stop(): Promise<void>;
}

/** How a site may differ from the demo. */
export interface SiteOptions {
  /** Life of a flow. Absent: ten minutes. */
  flowSeconds?: number;
}

/** Starts the real server; with `E2E_SITE=double` the double, to work on the console alone. */
export async function startSite({ flowSeconds }: SiteOptions = {}): Promise<Site> {
  if (process.env.E2E_SITE !== "double") {
    return startServer(flowSeconds ? `\n[oauth]\nflow_ttl = "${flowSeconds}s"\n` : "");
  }
  const double = new HttpDouble();
  if (flowSeconds) {
    double.double.flowLife = flowSeconds * 1000;
  }
  const { url } = await double.start();
  return { url, stop: () => double.stop() };
}
