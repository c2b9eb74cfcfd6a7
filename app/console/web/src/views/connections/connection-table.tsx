import type { Grant } from "@grantry/client";
import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { Day, Time } from "../../ui/time.tsx";

/** The connections, one row each. */
export function ConnectionTable({
  grants,
  nameOf,
  onRevoke,
}: {
  grants: readonly Grant[];
  nameOf: (grant: Grant) => string;
  onRevoke: (grant: Grant) => void;
}) {
  const { t } = usePreferences();
  return (
    <table className="table table--connections" aria-label={t("connections.table")}>
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
          <tr key={grant.grantId}>
            <th scope="row" className="cell-name">
              <span className="cell-name__text">{grant.userId}</span>
            </th>
            <td className="cell-fact" data-label={t("connections.columnConnector")}>
              {nameOf(grant)}
            </td>
            <td className="cell-status">
              <StatusBadge status={grant.status} />
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
                {grant.status === "connected" && (
                  <Button
                    aria-label={t("connections.revokeName", {
                      user: grant.userId,
                      connector: nameOf(grant),
                    })}
                    onClick={() => onRevoke(grant)}
                  >
                    {t("connections.revoke")}
                  </Button>
                )}
              </div>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
