import {
  type AuthStatus,
  authStatus,
  type Connector,
  connectionOf,
  type GrantryError,
} from "@grantry/client";
import {
  type ConnectorOAuthConnect,
  useConnectorOAuthConnect,
  useConnectorOAuthDisconnect,
} from "@grantry/react";
import type { Translate } from "../../i18n/messages.ts";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { ConnectDialog } from "./connect-dialog.tsx";
import { connectionLabel } from "./shown-connector.ts";

/** The connection that was authorized with another account than last time, if any. */
export interface Mismatch {
  of: { connectorId: string; connection: string | undefined } | null;
  set: (of: Mismatch["of"]) => void;
}

/** Connects and disconnects one connection. */
export interface ConnectionControl {
  /** Name of the connection. */
  name: string;
  /** How texts name it. */
  label: string;
  connect: ConnectorOAuthConnect;
  disconnect: () => void;
  isDisconnecting: boolean;
}

/** Connects and disconnects one connection, and reports the results in toasts. */
export function useConnectionControl(
  connector: Connector,
  name: string,
  mismatch: Mismatch,
): ConnectionControl {
  const { t, signInMode } = usePreferences();
  const { space, call } = useHere();
  const toast = useToast();
  const label = connectionLabel(connector.name, name);
  const target = { connectorId: connector.id, spaceId: space.id, connection: name };

  const connect = useConnectorOAuthConnect({
    ...target,
    redirectMode: signInMode,
    onSuccess: () => toast("success", t("toast.connected", { name: label }), connector.id),
    onError: async (error) => {
      if (error.code === "account_mismatch") {
        mismatch.set(target);
        return;
      }
      // What the failure left is what the server reports now.
      const statuses = await authStatus(call).catch(() => undefined);
      toast("error", failureText(error, label, statuses?.[connector.id], name, t), connector.id);
    },
  });
  const { disconnect, isDisconnecting } = useConnectorOAuthDisconnect({
    ...target,
    onSuccess: () => toast("success", t("toast.disconnected", { name: label }), connector.id),
    onError: (error) => toast("error", describeError(error, t), connector.id),
  });
  return { name, label, connect, disconnect, isDisconnecting };
}

/** The text about a flow that failed: whether the connection still exists, and the reason. */
export function failureText(
  error: GrantryError,
  label: string,
  status: AuthStatus | undefined,
  name: string | undefined,
  t: Translate,
): string {
  const now = connectionOf(status, name)?.status;
  const isUnchanged = now === "connected" || now === "needs_reauthorization";
  if (!isUnchanged) {
    return t("toast.connectFailed", { name: label, reason: describeError(error, t) });
  }
  const reason = error.code === "access_denied" ? t("toast.denied") : describeError(error, t);
  return t(now === "connected" ? "toast.stillConnected" : "toast.stillBroken", { name: label, reason });
}

/** The dialogs that ask before a connection is connected or disconnected. */
export function ConnectionDialogs({
  connector,
  control: { name, label, connect, disconnect },
  dialog,
  mismatch,
  onClose,
}: {
  connector: Connector;
  control: ConnectionControl;
  dialog: "connect" | "disconnect" | null;
  /** Absent where another part of the page asks about the account. */
  mismatch: Mismatch | undefined;
  onClose: () => void;
}) {
  const { t } = usePreferences();
  const of = mismatch?.of;
  return (
    <>
      {dialog === "connect" && (
        <ConnectDialog
          connector={connector}
          connection={name}
          onConfirm={connect.connect}
          onClose={onClose}
        />
      )}
      {dialog === "disconnect" && (
        <ConfirmDialog
          title={t("disconnectDialog.title", { name: label })}
          submit={t("connectors.disconnect")}
          onConfirm={disconnect}
          onClose={onClose}
        >
          <p>{t("disconnectDialog.text")}</p>
        </ConfirmDialog>
      )}
      {of?.connectorId === connector.id && (of.connection ?? name) === name && (
        <ConfirmDialog
          title={t("mismatchDialog.title")}
          submit={t("mismatchDialog.submit")}
          kind="primary"
          onConfirm={connect.connectOtherAccount}
          onClose={() => mismatch?.set(null)}
        >
          <p>{t("mismatchDialog.text", { name: label })}</p>
        </ConfirmDialog>
      )}
    </>
  );
}
