import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { launch } from "../src/launch.ts";

let replaced: string[];

beforeEach(() => {
  vi.useFakeTimers();
  replaced = [];
  document.body.innerHTML = '<h1 id="title"></h1><p id="text"></p>';
});

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Loads the launch page at a URL. */
function load(path: string, fetch: typeof globalThis.fetch = new FakeServer().fetchAs("bob")) {
  const url = new URL(path, "http://grantry.test");
  const location = {
    href: url.href,
    pathname: url.pathname,
    hash: url.hash,
    replace: (to: string) => {
      // The opener must be removed before the page is left.
      expect(window.opener).toBeNull();
      replaced.push(to);
    },
  };
  vi.stubGlobal("location", location);
  vi.stubGlobal("fetch", fetch);
  vi.stubGlobal("opener", { location: "the console" });
  launch();
  return location;
}

describe("the launch page", () => {
  it("R63 removes its opener and navigates to its flow", () => {
    load("/s/marketing/connect/github#flow-1");
    expect(replaced).toEqual(["/s/marketing/connect/github?flow=flow-1"]);
    expect(window.opener).toBeNull();
  });

  it("waits for its flow", async () => {
    const location = load("/connect/github");
    expect(document.title).toBe("One moment");
    await vi.advanceTimersByTimeAsync(1000);
    expect(replaced).toEqual([]);
    location.hash = "#flow-7";
    window.dispatchEvent(new Event("hashchange"));
    expect(replaced).toEqual(["/connect/github?flow=flow-7"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(replaced).toHaveLength(1);
  });

  it("reads its flow from the server when the opener cannot reach it", async () => {
    const server = new FakeServer();
    const fetch = server.fetchAs("bob");
    load("/s/marketing/connect/github", fetch);
    await fetch("/internal/actions/connector/github/_start_oauth_flow", { method: "POST", body: "{}" });
    await vi.advanceTimersByTimeAsync(3000);
    expect(replaced, "a flow of another space").toEqual([]);
    await fetch("/s/marketing/internal/actions/connector/github/_start_oauth_flow", {
      method: "POST",
      body: "{}",
    });
    await vi.advanceTimersByTimeAsync(2000);
    expect(replaced).toEqual(["/s/marketing/connect/github?flow=flow-2"]);
  });

  it("takes the newest flow of several connections", async () => {
    const server = new FakeServer();
    const fetch = server.fetchAs("bob");
    const start = (connection: string) =>
      fetch("/internal/actions/connector/github/_start_oauth_flow", {
        method: "POST",
        body: JSON.stringify({ connection }),
      });
    await start("work");
    vi.advanceTimersByTime(1000);
    await start("default");
    load("/connect/github", fetch);
    await vi.advanceTimersByTimeAsync(2000);
    expect(replaced).toEqual(["/connect/github?flow=flow-2"]);
  });

  it("shows a text when no flow arrives", async () => {
    load("/connect/github");
    await vi.advanceTimersByTimeAsync(31_000);
    expect(document.getElementById("text")?.textContent).toBe("Close this tab and press connect again.");
    expect(document.title).toBe("Nothing to open");
  });

  it("shows that the user is not signed in", async () => {
    load("/connect/github", new FakeServer().fetchAs(null));
    await vi.advanceTimersByTimeAsync(2000);
    expect(document.title).toBe("You are not signed in");
  });

  it("uses the language chosen in the console", () => {
    localStorage.setItem("grantry.language", "de");
    load("/connect/github");
    expect(document.title).toBe("Einen Moment");
    expect(document.documentElement.lang).toBe("de");
  });

  it("R63 navigates only to its path, with any fragment", () => {
    load("/connect/github#https%3A%2F%2Fevil.example%2F%26x%3D1");
    load("/connect/github#%E0%A4%A");
    expect(replaced).toEqual([
      "/connect/github?flow=https%3A%2F%2Fevil.example%2F%26x%3D1",
      "/connect/github?flow=%25E0%25A4%25A",
    ]);
  });
});
