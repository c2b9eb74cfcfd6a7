import type { CallOptions } from "@grantry/client";
import { createContext, createElement, type ReactNode, useContext, useMemo } from "react";

/** How the hooks send requests to the server. */
export interface GrantrySettings extends Pick<CallOptions, "basePath" | "fetch"> {
  /** Space of every hook below without a `spaceId`. Absent: the default space. */
  spaceId?: string | undefined;
}

const Settings = createContext<GrantrySettings>({});

/** Sets the path of Grantry, the function that sends requests, and the space. Optional at the root of the origin in the default space. */
export function GrantryProvider({
  basePath,
  fetch,
  spaceId,
  children,
}: GrantrySettings & { children: ReactNode }) {
  const value = useMemo(() => ({ basePath, fetch, spaceId }), [basePath, fetch, spaceId]);
  return createElement(Settings.Provider, { value }, children);
}

/** The call options of a hook at this place of the tree. The object is stable while its content is. */
export function useCallOptions(
  spaceId: string | undefined,
): Pick<CallOptions, "basePath" | "fetch" | "space"> {
  const settings = useContext(Settings);
  const space = spaceId ?? settings.spaceId;
  const { basePath, fetch } = settings;
  return useMemo(() => ({ basePath, fetch, space }), [basePath, fetch, space]);
}
