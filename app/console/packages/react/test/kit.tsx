import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook } from "@testing-library/react";
import { type ReactNode, StrictMode } from "react";
import { vi } from "vitest";
import { FakeChannel } from "../../../testing/fake-channel.ts";
import { FakeServer } from "../../../testing/fake-server.ts";
import { GrantryProvider } from "../src/index.ts";

/** A tab as `window.open` returns it. */
export interface FakeTab {
  closed: boolean;
  close: () => void;
  location: { replace: (url: string) => void };
  /** The URLs it was sent to after it was opened. */
  sentTo: string[];
}

export function fakeTab(): FakeTab {
  const tab: FakeTab = {
    closed: false,
    close: () => {
      tab.closed = true;
    },
    location: { replace: (url) => void tab.sentTo.push(url) },
    sentTo: [],
  };
  return tab;
}

/** A page on which hooks run in StrictMode against a fake server. */
export class Page {
  readonly server: FakeServer;
  readonly fetch: typeof globalThis.fetch;
  readonly queryClient = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  /** The calls of `window.open`, and the tabs it returned. */
  readonly opened: { url: string; features: string | undefined; tab: FakeTab }[] = [];
  popupsBlocked = false;
  /** Whether requests fail. */
  isOffline = false;
  /** The number of requests, with those that failed. */
  attempts = 0;

  constructor(server = new FakeServer(), username = "bob") {
    this.server = server;
    const fetch = server.fetchAs(username);
    this.fetch = async (...request) => {
      this.attempts += 1;
      if (this.isOffline) {
        throw new TypeError("no connection");
      }
      return fetch(...request);
    };
    vi.spyOn(window, "open").mockImplementation((url, _target, features) => {
      if (this.popupsBlocked) {
        return null;
      }
      const tab = fakeTab();
      this.opened.push({ url: String(url), features, tab });
      return tab as unknown as Window;
    });
  }

  readonly wrapper = ({ children }: { children: ReactNode }) => (
    <StrictMode>
      <QueryClientProvider client={this.queryClient}>
        <GrantryProvider fetch={this.fetch}>{children}</GrantryProvider>
      </QueryClientProvider>
    </StrictMode>
  );

  render<Props, Result>(hook: (props: Props) => Result, initialProps?: Props) {
    return renderHook(hook, {
      wrapper: this.wrapper,
      ...(initialProps === undefined ? {} : { initialProps }),
    });
  }
}

/** Advances the clock, and runs everything that is due. */
export async function pass(milliseconds: number) {
  await act(async () => {
    await vi.advanceTimersByTimeAsync(milliseconds);
  });
}

export function useFakeClockAndChannel() {
  vi.useFakeTimers();
  FakeChannel.install();
}
