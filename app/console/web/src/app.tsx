import { GrantryProvider } from "@grantry/react";
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { useState } from "react";
import { isSignedOut } from "./lib/errors.ts";
import { BASE_PATH } from "./lib/location.ts";
import { PreferencesProvider } from "./lib/preferences.tsx";
import { ToastProvider } from "./ui/toasts.tsx";
import { Gate } from "./views/gate.tsx";

/** The console. Only tests pass `fetch`. */
export function App({ fetch }: { fetch?: typeof globalThis.fetch }) {
  const [queryClient] = useState(makeQueryClient);
  return (
    <QueryClientProvider client={queryClient}>
      <GrantryProvider basePath={BASE_PATH} fetch={fetch}>
        <PreferencesProvider>
          <ToastProvider>
            <Gate fetch={fetch} />
          </ToastProvider>
        </PreferencesProvider>
      </GrantryProvider>
    </QueryClientProvider>
  );
}

function makeQueryClient(): QueryClient {
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
      },
    },
  });
  return queryClient;
}

/** Only an outage may end before the second attempt. */
function isWorthRetrying(error: unknown): boolean {
  const status = (error as { status?: number }).status ?? 0;
  return status === 0 || status >= 500;
}
