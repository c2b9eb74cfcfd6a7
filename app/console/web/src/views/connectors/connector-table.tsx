import { DEFAULT_CONNECTION } from "@grantry/client";
import { useState } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { Monogram } from "../../ui/monogram.tsx";
import { Day } from "../../ui/time.tsx";
import { DeleteDialog } from "../editor/delete-dialog.tsx";
import { EditDialog } from "../editor/edit-dialog.tsx";
import { ConnectionDialogs, type Mismatch, useConnectionControl } from "./connection-control.tsx";
import { ConnectionsDialog } from "./connections-dialog.tsx";
import { DetailsDialog } from "./details-dialog.tsx";
import { RowActions, type RowDialog } from "./row-actions.tsx";
import { RowStatus } from "./row-status.tsx";
import { existing, type ShownConnector } from "./shown-connector.ts";

/** The connectors, one row each. */
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

function ConnectorRow({ shown, mismatch }: { shown: ShownConnector; mismatch: Mismatch }) {
  const { t } = usePreferences();
  const [dialog, setDialog] = useState<RowDialog | null>(null);
  const { connector, connection, status } = shown;
  const { name } = connector;
  const close = () => setDialog(null);

  const control = useConnectionControl(connector, connection?.name ?? DEFAULT_CONNECTION, mismatch);
  const { of } = mismatch;
  const isOtherMismatch =
    of?.connectorId === connector.id && of.connection !== undefined && of.connection !== control.name;
  const showsConnections = dialog === "connections" || isOtherMismatch;
  const count = existing(shown.connections).length;
  const account = count > 1 ? t("connectors.connectionCount", { count }) : connection?.account;
  const lastUsed = shown.connections
    .flatMap(({ last_used_at }) => last_used_at ?? [])
    .sort()
    .at(-1);

  return (
    <tr>
      <th scope="row" className="cell-name">
        <div className="cell-name__box">
          <Monogram name={name} />
          <span className="cell-name__text">
            <button type="button" className="link-button" onClick={() => setDialog("details")}>
              {name}
            </button>
            <span className="muted small">{connector.connector_type_id.replace(/^\./, "")}</span>
          </span>
        </div>
      </th>
      <td className="cell-status">
        <RowStatus connector={connector} connection={connection} status={status} connect={control.connect} />
      </td>
      <td
        className={account ? "cell-fact" : "cell-fact cell-fact--empty"}
        data-label={t("connectors.columnAccount")}
      >
        {account ?? <span className="muted">–</span>}
      </td>
      <td
        className={lastUsed ? "cell-fact" : "cell-fact cell-fact--empty"}
        data-label={t("connectors.columnLastUsed")}
      >
        {lastUsed ? <Day value={lastUsed} /> : <span className="muted">–</span>}
      </td>
      <td className="cell-actions">
        <RowActions shown={shown} control={control} open={setDialog} />

        <ConnectionDialogs
          connector={connector}
          control={control}
          dialog={dialog === "connect" || dialog === "disconnect" ? dialog : null}
          mismatch={showsConnections ? undefined : mismatch}
          onClose={close}
        />
        {showsConnections && <ConnectionsDialog shown={shown} mismatch={mismatch} onClose={close} />}
        {dialog === "details" && <DetailsDialog shown={shown} onClose={close} />}
        {dialog === "edit" && <EditDialog connector={connector} onClose={close} />}
        {dialog === "delete" && <DeleteDialog connector={connector} onClose={close} />}
      </td>
    </tr>
  );
}
