import { usePreferences } from "../../lib/preferences.tsx";
import { ConnectorRow } from "./connector-row.tsx";
import type { ShownConnector } from "./shown-connector.ts";

/** Which connector was signed in to with another account than last time. */
export interface Mismatch {
  connectorId: string | null;
  set: (connectorId: string | null) => void;
}

/** The connectors, a row each. The roles are spelled out because narrow windows lay the table out as cards. */
export function ConnectorTable({
  shown,
  mismatch,
}: {
  shown: readonly ShownConnector[];
  mismatch: Mismatch;
}) {
  const { t } = usePreferences();
  return (
    <table className="table" aria-label={t("connectors.table")}>
      <thead>
        <tr>
          <th scope="col">{t("connectors.columnName")}</th>
          <th scope="col">{t("connectors.columnStatus")}</th>
          <th scope="col">{t("connectors.columnAccount")}</th>
          <th scope="col">{t("connectors.columnLastUsed")}</th>
          <th scope="col">
            <span className="visually-hidden">{t("connectors.columnActions")}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map((one) => (
          <ConnectorRow key={one.connector.id} shown={one} mismatch={mismatch} />
        ))}
      </tbody>
    </table>
  );
}
