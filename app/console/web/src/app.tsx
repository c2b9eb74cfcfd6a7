import { GrantryProvider } from "@grantry/react";
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { isSignedOut } from "./lib/errors.ts";
import { keepFocus } from "./lib/keep-focus.ts";
import { BASE_PATH } from "./lib/location.ts";
import { OutageProvider } from "./lib/outage.tsx";
import { PreferencesProvider } from "./lib/preferences.tsx";
import { ServerMonitor } from "./lib/server-monitor.ts";
import { ToastProvider } from "./ui/toasts.tsx";
import { Gate } from "./views/gate.tsx";
import { OutageBanner } from "./views/outage-banner.tsx";

/** The console. Only tests pass `fetch`. */
export function App({ fetch }: { fetch?: typeof globalThis.fetch }) {
  const [{ queryClient, monitor }] = useState(() => makeClients(fetch));
  useEffect(() => keepFocus(), []);
  return (
    <QueryClientProvider client={queryClient}>
      <GrantryProvider basePath={BASE_PATH} fetch={monitor.fetch}>
        <PreferencesProvider>
          <ToastProvider>
            <OutageProvider monitor={monitor}>
              <OutageBanner />
              <Gate fetch={monitor.fetch} />
            </OutageProvider>
          </ToastProvider>
        </PreferencesProvider>
      </GrantryProvider>
    </QueryClientProvider>
  );
}

function makeClients(fetch: typeof globalThis.fetch | undefined) {
  const queryClient: QueryClient = new QueryClient({
    queryCache: new QueryCache({
      onError: (error, query) => {
        // Signed out in another tab, or the session has ended: read the session, which leads to the log-in.
        if (isSignedOut(error) && query.queryKey[1] !== "session") {
          void queryClient.invalidateQueries({ queryKey: ["grantry", "session"] });
        }
      },
    }),
    defaultOptions: {
      queries: {
        retry: (failures, error) => failures < 2 && isWorthRetrying(error),
        staleTime: 10_000,
        // The monitor retries, so a query need not wait for the network.
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
  const monitor = new ServerMonitor(fetch, `${BASE_PATH}/readyz`, () => queryClient.invalidateQueries());
  return { queryClient, monitor };
}

/** Only an outage may end before the second attempt. */
function isWorthRetrying(error: unknown): boolean {
  const status = (error as { status?: number }).status ?? 0;
  return status === 0 || status >= 500;
}
