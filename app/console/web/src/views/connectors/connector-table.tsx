import { type Connector, DEFAULT_CONNECTION } from "@grantry/client";
import { useState } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { ProviderLogo } from "../../ui/provider-logo.tsx";
import { Day } from "../../ui/time.tsx";
import { TestDialog } from "../editor/test-dialog.tsx";
import { ConnectionDialogs, type Mismatch, useConnectionControl } from "./connection-control.tsx";
import { ConnectionsDialog } from "./connections-dialog.tsx";
import { DetailsDialog } from "./details-dialog.tsx";
import { RowActions, type RowDialog } from "./row-actions.tsx";
import { RowStatus } from "./row-status.tsx";
import { existing, type ShownConnector } from "./shown-connector.ts";
import { TryDialog } from "./try-dialog.tsx";

/** Props of {@link ConnectorTable}. */
export interface ConnectorTableProps {
  shown: readonly ShownConnector[];
  mismatch: Mismatch;
  onEdit: (connector: Connector) => void;
  onDelete: (connector: Connector) => void;
}

/** Id of the name of a connector in its row. */
export const rowId = (connectorId: string) => `connector-${connectorId}`;

/** The connectors, one row each. */
export function ConnectorTable({ shown, ...others }: ConnectorTableProps) {
  const { t } = usePreferences();
  return (
    <table className="table table--connectors" aria-label={t("connectors.table")}>
      <colgroup>
        <col className="col-name" />
        <col className="col-status" />
        <col className="col-account" />
        <col className="col-used" />
        <col className="col-actions" />
      </colgroup>
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
          <ConnectorRow key={one.connector.id} shown={one} {...others} />
        ))}
      </tbody>
    </table>
  );
}

function ConnectorRow({
  shown,
  mismatch,
  onEdit,
  onDelete,
}: Omit<ConnectorTableProps, "shown"> & { shown: ShownConnector }) {
  const { t } = usePreferences();
  const [dialog, setDialog] = useState<RowDialog | null>(null);
  const [added, setAdded] = useState<readonly string[]>([]);
  const { connector, connection, status } = shown;
  const { name } = connector;
  const close = () => {
    setDialog(null);
    setAdded([]);
  };
  const add = (connection: string) => {
    setAdded((now) => [...now, connection]);
    setDialog("connections");
  };
  // An edit and a deletion outlive the row: another user may delete the connector meanwhile.
  const open = (one: RowDialog) => {
    if (one === "edit") {
      onEdit(connector);
    } else if (one === "delete") {
      onDelete(connector);
    } else {
      setDialog(one);
    }
  };

  const control = useConnectionControl(connector, connection?.name ?? DEFAULT_CONNECTION, mismatch);
  const { of } = mismatch;
  const isOtherMismatch = of?.connectorId === connector.id && of.connection !== control.name;
  const showsConnections = dialog === "connections" || isOtherMismatch;
  const count = existing(shown.connections).length;
  const hasGrant = shown.connections.some((one) => one.status === "connected");
  const account = count > 1 ? t("connectors.connectionCount", { count }) : connection?.account;
  const lastUsed = shown.connections
    .flatMap(({ last_used_at }) => last_used_at ?? [])
    .sort()
    .at(-1);

  return (
    <tr>
      <th scope="row" className="cell-name">
        <div className="cell-name__box">
          <ProviderLogo name={name} profile={connector.connector_type_id} />
          <span className="cell-name__text">
            <button
              type="button"
              id={rowId(connector.id)}
              className="link-button one-line"
              title={name}
              onClick={() => open("details")}
            >
              {name}
            </button>
            <span className="muted small one-line">{connector.connector_type_id.replace(/^\./, "")}</span>
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
        className={lastUsed || hasGrant ? "cell-fact" : "cell-fact cell-fact--empty"}
        data-label={t("connectors.columnLastUsed")}
      >
        {lastUsed || hasGrant ? <Day value={lastUsed} /> : <span className="muted">–</span>}
      </td>
      <td className="cell-actions" data-keeps-focus="">
        <RowActions shown={shown} control={control} open={open} />

        <ConnectionDialogs
          connector={connector}
          control={control}
          dialog={dialog === "connect" || dialog === "disconnect" ? dialog : null}
          mismatch={showsConnections ? undefined : mismatch}
          onAddAccount={add}
          onClose={close}
        />
        {showsConnections && (
          <ConnectionsDialog shown={shown} added={added} onAdd={add} mismatch={mismatch} onClose={close} />
        )}
        {dialog === "details" && <DetailsDialog shown={shown} onClose={close} />}
        {dialog === "try" && <TryDialog shown={shown} onClose={close} />}
        {dialog === "test" && <TestDialog connector={connector} onClose={close} />}
      </td>
    </tr>
  );
}
