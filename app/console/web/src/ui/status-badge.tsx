import type { UserAuthStatus } from "@grantry/client";
import { usePreferences } from "../lib/preferences.tsx";
import { Icon, type IconName } from "./icon.tsx";

/** A status, or that the connector cannot be used yet. */
export type ShownStatus = UserAuthStatus | "incomplete";

const LOOK: Record<ShownStatus, { icon: IconName; tone: string }> = {
  connected: { icon: "checkCircle", tone: "ok" },
  connecting: { icon: "clock", tone: "info" },
  needs_reauthorization: { icon: "warning", tone: "warn" },
  not_connected: { icon: "circle", tone: "neutral" },
  not_applicable: { icon: "people", tone: "neutral" },
  incomplete: { icon: "warning", tone: "warn" },
};

/** A status in words, a drawing and a colour, in this order of importance. */
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
