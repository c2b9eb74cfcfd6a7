import type { CallOptions, Role, Session, SessionSpace } from "@grantry/client";
import { createContext, useContext } from "react";

/** The signed-in user, the space, and the options of calls. */
export interface Here {
  session: Session;
  space: SessionSpace;
  /** Options for every call of the client in this space. */
  call: CallOptions;
}

const HereContext = createContext<Here | null>(null);

/** Provides {@link Here}. */
export const HereProvider = HereContext;

/** The signed-in user, and the space. */
export function useHere(): Here {
  const here = useContext(HereContext);
  if (!here) {
    throw new Error("HereProvider is missing");
  }
  return here;
}

const RANK: Record<Role, number> = { viewer: 0, editor: 1, admin: 2 };

/** Whether the role includes the other. */
export function includes(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** The name of a user in texts. */
export function userName(session: Session): string {
  return session.display_name || session.username || session.user_id;
}

/** The name of a space in texts. */
export function spaceName(space: SessionSpace): string {
  return space.name || space.id;
}
