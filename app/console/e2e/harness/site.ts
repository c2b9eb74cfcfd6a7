import { HttpDouble } from "../../testing/http-double.ts";
import { startServer } from "./server.ts";

/** What the browser tests run against. */
export interface Site {
  /** Origin of the console. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts the real server; with `GRANTRY_E2E=double` the double, to work on the console alone. */
export async function startSite(): Promise<Site> {
  if (process.env.GRANTRY_E2E !== "double") {
    return startServer();
  }
  const double = new HttpDouble();
  const { url } = await double.start();
  return { url, stop: () => double.stop() };
}
