import type { ConnectionStatus } from "@grantry/client";
import { usePreferences } from "../lib/preferences.tsx";
import { Icon, type IconName } from "./icon.tsx";

/** The status of a connection, or of a connector that has none (`not_applicable`) or cannot be used yet. */
export type ShownStatus = ConnectionStatus | "not_applicable" | "incomplete";

const LOOK: Record<ShownStatus, { icon: IconName; tone: string }> = {
  connected: { icon: "checkCircle", tone: "ok" },
  connecting: { icon: "clock", tone: "info" },
  needs_reauthorization: { icon: "warning", tone: "warn" },
  not_connected: { icon: "circle", tone: "neutral" },
  not_applicable: { icon: "users", tone: "neutral" },
  incomplete: { icon: "warning", tone: "warn" },
};

/** A status as text, icon and colour. */
export function StatusBadge({ status }: { status: ShownStatus }) {
  const { t } = usePreferences();
  const { icon, tone } = LOOK[status];
  return (
    <span className={`badge badge--${tone}`}>
      <Icon name={icon} />
      {t(`status.${status}`)}
    </span>
  );
}
