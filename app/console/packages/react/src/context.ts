import type { CallOptions } from "@grantry/client";
import { createContext, createElement, type ReactNode, useContext, useMemo } from "react";

/** How the hooks reach the server. */
export interface GrantrySettings extends Pick<CallOptions, "basePath" | "fetch"> {
  /** Space of every hook below that names none. Absent: the default space. */
  spaceId?: string | undefined;
}

const Settings = createContext<GrantrySettings>({});

/** Sets where Grantry is mounted, how requests are sent, and the space. Not needed at the root of the origin in the default space. */
export function GrantryProvider({
  basePath,
  fetch,
  spaceId,
  children,
}: GrantrySettings & { children: ReactNode }) {
  const value = useMemo(() => ({ basePath, fetch, spaceId }), [basePath, fetch, spaceId]);
  return createElement(Settings.Provider, { value }, children);
}

/** The call options of a hook in this place of the tree. The object stays the same while its content does. */
export function useCallOptions(
  spaceId: string | undefined,
): Pick<CallOptions, "basePath" | "fetch" | "space"> {
  const settings = useContext(Settings);
  const space = spaceId ?? settings.spaceId;
  const { basePath, fetch } = settings;
  return useMemo(() => ({ basePath, fetch, space }), [basePath, fetch, space]);
}
