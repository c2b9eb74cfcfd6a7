import type { Grant } from "@grantry/client";
import { useIsStale } from "../../lib/outage.tsx";
import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { Day, Since, Time } from "../../ui/time.tsx";
import { reasonText } from "../connectors/row-status.tsx";

/** Props of {@link ConnectionTable}. */
export interface ConnectionTableProps {
  grants: readonly Grant[];
  /** How texts name the connection. */
  labelOf: (grant: Grant) => string;
  /** The name of a user. */
  nameOf: (user: string) => string;
  onRevoke: (grant: Grant) => void;
}

/** The connections, one row each. */
export function ConnectionTable({ grants, ...others }: ConnectionTableProps) {
  const { t } = usePreferences();
  return (
    <table className="table table--connections" aria-label={t("connections.table")}>
      <colgroup>
        <col className="col-user" />
        <col className="col-connector" />
        <col className="col-status" />
        <col className="col-account" />
        <col className="col-since" />
        <col className="col-used" />
        <col className="col-revoke" />
      </colgroup>
      <thead>
        <tr>
          <th scope="col">{t("connections.columnUser")}</th>
          <th scope="col">{t("connections.columnConnector")}</th>
          <th scope="col">{t("connections.columnStatus")}</th>
          <th scope="col">{t("connections.columnAccount")}</th>
          <th scope="col">{t("connections.columnConnected")}</th>
          <th scope="col">{t("connections.columnLastUsed")}</th>
          <th scope="col">
            <span className="visually-hidden">{t("connections.columnActions")}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {grants.map((grant) => (
          <ConnectionRow key={grant.grantId} grant={grant} {...others} />
        ))}
      </tbody>
    </table>
  );
}

function ConnectionRow({
  grant,
  labelOf,
  nameOf,
  onRevoke,
}: Omit<ConnectionTableProps, "grants"> & { grant: Grant }) {
  const { t } = usePreferences();
  const name = nameOf(grant.userId);
  const label = labelOf(grant);
  return (
    <tr data-keeps-focus="" tabIndex={-1}>
      <th scope="row" className="cell-name">
        <span className="cell-name__text" title={name}>
          <span className="one-line">{name}</span>
          {name !== grant.userId && <span className="muted small one-line">{grant.userId}</span>}
        </span>
      </th>
      <td className="cell-fact" data-label={t("connections.columnConnector")}>
        {label}
      </td>
      <td className="cell-status">
        <div className="row-status">
          <StatusBadge status={grant.status} />
          <GrantNote grant={grant} nameOf={nameOf} />
        </div>
      </td>
      <td className="cell-fact" data-label={t("connections.columnAccount")}>
        {grant.account ?? <span className="muted">–</span>}
      </td>
      <td className="cell-fact" data-label={t("connections.columnConnected")}>
        <Time value={grant.connectedAt} />
      </td>
      <td className="cell-fact" data-label={t("connections.columnLastUsed")}>
        <Day value={grant.lastUsedAt} />
      </td>
      <td className="cell-actions">
        <div className="row-actions">
          {grant.revocable && (
            <Button
              aria-label={t("connections.revokeName", { user: name, connector: label })}
              onClick={() => onRevoke(grant)}
            >
              {t("connections.revoke")}
            </Button>
          )}
        </div>
      </td>
    </tr>
  );
}

/** Who ended it and when; else why it needs a new consent. */
function GrantNote({ grant, nameOf }: { grant: Grant; nameOf: ConnectionTableProps["nameOf"] }) {
  const { t } = usePreferences();
  const isStale = useIsStale();
  const { endedAt, endedBy } = grant;
  const reason = grant.status === "needs_reauthorization" && !endedBy && t(reasonText(grant.reason));
  if (!isStale && !endedAt && !reason) {
    return null;
  }
  return (
    <span className="row-status__note">
      {isStale && <span>{t("outage.stale")}</span>}
      {reason && <span>{reason}</span>}
      {endedBy && <span>{endedText(endedBy, nameOf, t)}</span>}
      <Since value={endedAt} plain={Boolean(endedBy)} />
    </span>
  );
}

function endedText(
  endedBy: string,
  nameOf: ConnectionTableProps["nameOf"],
  t: ReturnType<typeof usePreferences>["t"],
): string {
  return endedBy === "system"
    ? t("connections.endedBySystem")
    : t("connections.endedBy", { name: nameOf(endedBy) });
}
