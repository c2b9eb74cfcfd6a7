import { useConnectorOAuthConnect, useConnectorOAuthDisconnect } from "@grantry/react";
import { useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { useToast } from "../../lib/toasts.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";
import { Monogram } from "../../ui/monogram.tsx";
import { Day } from "../../ui/time.tsx";
import { DeleteDialog } from "../editor/delete-dialog.tsx";
import { EditDialog } from "../editor/edit-dialog.tsx";
import { ConnectDialog } from "./connect-dialog.tsx";
import type { Mismatch } from "./connector-table.tsx";
import { DetailsDialog } from "./details-dialog.tsx";
import { RowActions } from "./row-actions.tsx";
import { RowStatus } from "./row-status.tsx";
import type { ShownConnector } from "./shown-connector.ts";

/** The dialogs a row can open. */
export type RowDialog = "connect" | "disconnect" | "details" | "edit" | "delete";

/** One connector. */
export function ConnectorRow({ shown, mismatch }: { shown: ShownConnector; mismatch: Mismatch }) {
  const { t, signInMode } = usePreferences();
  const { space } = useHere();
  const toast = useToast();
  const [dialog, setDialog] = useState<RowDialog | null>(null);
  const { connector, auth } = shown;
  const { name } = connector;
  const close = () => setDialog(null);

  const connection = useConnectorOAuthConnect({
    connectorId: connector.id,
    spaceId: space.id,
    redirectMode: signInMode,
    onSuccess: () => toast("success", t("toast.connected", { name })),
    onError: (error) => {
      if (error.code === "account_mismatch") {
        mismatch.set(connector.id);
      } else {
        toast("error", t("toast.connectFailed", { name, reason: describeError(error, t) }));
      }
    },
  });
  const { disconnect, isDisconnecting } = useConnectorOAuthDisconnect({
    connectorId: connector.id,
    spaceId: space.id,
    onSuccess: () => toast("success", t("toast.disconnected", { name })),
    onError: (error) => toast("error", describeError(error, t)),
  });

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
        <RowStatus shown={shown} connection={connection} />
      </td>
      <td
        className={auth.account ? "cell-fact" : "cell-fact cell-fact--empty"}
        data-label={t("connectors.columnAccount")}
      >
        {auth.account ?? <span className="muted">–</span>}
      </td>
      <td
        className={auth.last_used_at ? "cell-fact" : "cell-fact cell-fact--empty"}
        data-label={t("connectors.columnLastUsed")}
      >
        {auth.last_used_at ? <Day value={auth.last_used_at} /> : <span className="muted">–</span>}
      </td>
      <td className="cell-actions">
        <RowActions
          shown={shown}
          connection={connection}
          isDisconnecting={isDisconnecting}
          open={setDialog}
        />

        {dialog === "connect" && (
          <ConnectDialog connector={connector} onConfirm={connection.connect} onClose={close} />
        )}
        {dialog === "disconnect" && (
          <ConfirmDialog
            title={t("disconnectDialog.title", { name })}
            submit={t("connectors.disconnect")}
            onConfirm={disconnect}
            onClose={close}
          >
            <p>{t("disconnectDialog.text")}</p>
          </ConfirmDialog>
        )}
        {dialog === "details" && <DetailsDialog shown={shown} onClose={close} />}
        {dialog === "edit" && <EditDialog connector={connector} onClose={close} />}
        {dialog === "delete" && <DeleteDialog connector={connector} onClose={close} />}
        {mismatch.connectorId === connector.id && (
          <ConfirmDialog
            title={t("mismatchDialog.title")}
            submit={t("mismatchDialog.submit")}
            kind="primary"
            onConfirm={connection.connectOtherAccount}
            onClose={() => mismatch.set(null)}
          >
            <p>{t("mismatchDialog.text", { name })}</p>
          </ConfirmDialog>
        )}
      </td>
    </tr>
  );
}
