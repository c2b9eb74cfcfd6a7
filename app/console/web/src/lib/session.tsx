import type { CallOptions, Role, Session, SessionSpace } from "@grantry/client";
import { createContext, useContext } from "react";

/** Who is here, where, and how to reach the server. */
export interface Here {
  session: Session;
  space: SessionSpace;
  /** Options for every call of the client in this space. */
  call: CallOptions;
}

const HereContext = createContext<Here | null>(null);

/** Provides {@link Here} below. */
export const HereProvider = HereContext;

/** Who is here, and where. */
export function useHere(): Here {
  const here = useContext(HereContext);
  if (!here) {
    throw new Error("HereProvider is missing");
  }
  return here;
}

const RANK: Record<Role, number> = { viewer: 0, editor: 1, admin: 2 };

/** Does the role include the other? */
export function includes(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** How to address a person. */
export function personName(session: Session): string {
  return session.display_name || session.username || session.user_id;
}

/** How to call a space. */
export function spaceName(space: SessionSpace): string {
  return space.name || space.id;
}
