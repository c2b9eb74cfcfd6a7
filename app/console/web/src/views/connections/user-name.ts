import type { User } from "@grantry/client";

/** The name of a user in texts: the name at the host, else the id. */
export function nameOfUser(id: string, users: readonly User[] | undefined): string {
  return users?.find((user) => user.id === id)?.name || id;
}
