import type { ConnectionStatus } from "@grantry/client";
import { useIsStale } from "../lib/outage.tsx";
import { usePreferences } from "../lib/preferences.tsx";
import { Icon, type IconName } from "./icon.tsx";

/**
 * The status of a connection, of one that an administrator revoked, of one whose provider refuses the connector (`client_refused`), or of a connector that has
 * none (`not_applicable`), cannot be used yet, or whose stored row is not authentic (`tampered`).
 */
export type ShownStatus =
  | ConnectionStatus
  | "revoked"
  | "client_refused"
  | "not_applicable"
  | "incomplete"
  | "tampered";

const LOOK: Record<ShownStatus, { icon: IconName; tone: string }> = {
  connected: { icon: "checkCircle", tone: "ok" },
  connecting: { icon: "clock", tone: "info" },
  needs_reauthorization: { icon: "warning", tone: "warn" },
  revoked: { icon: "circle", tone: "neutral" },
  client_refused: { icon: "warning", tone: "warn" },
  not_connected: { icon: "circle", tone: "neutral" },
  not_applicable: { icon: "users", tone: "neutral" },
  incomplete: { icon: "warning", tone: "warn" },
  tampered: { icon: "warning", tone: "warn" },
};

/** A status as text, icon and colour; without colour where it was read earlier. */
export function StatusBadge({ status }: { status: ShownStatus }) {
  const { t } = usePreferences();
  const isStale = useIsStale();
  const { icon, tone } = LOOK[status];
  return (
    <span className={`badge badge--${isStale ? "stale" : tone}`}>
      <Icon name={isStale ? "clock" : icon} />
      {t(`status.${status}`)}
    </span>
  );
}
