import { createContext, type ReactNode, useContext, useEffect, useSyncExternalStore } from "react";
import type { ServerMonitor, ServerState } from "./server-monitor.ts";

const OutageContext = createContext<ServerMonitor | null>(null);
const StaleContext = createContext(false);

/** Provides whether the server responds. */
export function OutageProvider({ monitor, children }: { monitor: ServerMonitor; children: ReactNode }) {
  useEffect(() => monitor.start(), [monitor]);
  return <OutageContext value={monitor}>{children}</OutageContext>;
}

/** Whether the server responds, and a function that tries at once. */
export function useOutage(): ServerState & { retry: () => void } {
  const monitor = useContext(OutageContext);
  if (!monitor) {
    throw new Error("OutageProvider is missing");
  }
  const state = useSyncExternalStore(monitor.subscribe, monitor.snapshot);
  return { ...state, retry: monitor.retry };
}

/** Marks what is shown inside as read earlier. */
export const StaleProvider = StaleContext;

/** Whether what is shown was read earlier and could not be read again. */
export function useIsStale(): boolean {
  return useContext(StaleContext);
}
