import {
  type AuthStatus,
  authStatus,
  type Connection,
  type Connector,
  connectionOf,
  type GrantryError,
} from "@grantry/client";
import {
  type ConnectorOAuthConnect,
  useConnectorOAuthConnect,
  useConnectorOAuthDisconnect,
} from "@grantry/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import type { Translate } from "../../i18n/messages.ts";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery, consentQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { ConnectDialog } from "./connect-dialog.tsx";
import { type Accounts, MismatchDialog } from "./mismatch-dialog.tsx";
import { connectionLabel } from "./shown-connector.ts";

/** The connection at which another account was used than the connected one, if any. */
export interface Mismatch {
  of:
    | (Accounts & {
        connectorId: string;
        connection: string;
        /** What the user chose. The hosts are shown before it is done. */
        choice?: "selectAccount" | "connectOtherAccount";
      })
    | null;
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
  const queryClient = useQueryClient();
  const label = connectionLabel(connector.name, name);
  const target = { connectorId: connector.id, spaceId: space.id, connection: name };

  // Read by the dialog, where the connector alone does not name every host.
  const consent = consentQuery(call, connector);
  const { data: shown } = useQuery({ ...consent, enabled: false });

  const connect = useConnectorOAuthConnect({
    ...target,
    redirectMode: signInMode,
    consentVersion: (shown ?? connector.consent)?.version,
    onSuccess: () => toast("success", t("toast.connected", { name: label }), connector.id),
    onError: async (error) => {
      if (error.code === "connector_changed") {
        queryClient.removeQueries({ queryKey: consent.queryKey });
        await queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey });
      }
      // What the failure left is what the server reports now.
      const status = (await authStatus(call).catch(() => undefined))?.[connector.id];
      const accounts = mismatchedAccounts(error, connectionOf(status, name));
      if (accounts) {
        mismatch.set({ connectorId: connector.id, connection: name, ...accounts });
      } else {
        toast("error", failureText(error, label, status, name, t), connector.id);
      }
    },
  });
  const { disconnect, isDisconnecting } = useConnectorOAuthDisconnect({
    ...target,
    onSuccess: () => toast("success", t("toast.disconnected", { name: label }), connector.id),
    onError: (error) => toast("error", describeError(error, t), connector.id),
  });
  return { name, label, connect, disconnect, isDisconnecting };
}

/** The accounts, where the user has to choose between that of an existing connection and the one that was used. */
export function mismatchedAccounts(
  { code, members }: GrantryError,
  connection: Connection | undefined,
): Accounts | undefined {
  if (code !== "account_mismatch" || !connection || !hasGrant(connection)) {
    return undefined;
  }
  const { connectedAccount, usedAccount, unusedName } = members;
  return {
    connectedAccount:
      typeof connectedAccount === "string" ? connectedAccount : (connection.account ?? undefined),
    usedAccount: typeof usedAccount === "string" ? usedAccount : undefined,
    unusedName: typeof unusedName === "string" ? unusedName : undefined,
  };
}

function hasGrant({ status }: Connection): boolean {
  return status === "connected" || status === "needs_reauthorization";
}

/** The text about a flow that failed: whether the connection still exists, and the reason. */
export function failureText(
  error: GrantryError,
  label: string,
  status: AuthStatus | undefined,
  name: string | undefined,
  t: Translate,
): string {
  const connection = connectionOf(status, name);
  if (!connection || !hasGrant(connection)) {
    return t("toast.connectFailed", { name: label, reason: describeError(error, t) });
  }
  const reason = error.code === "access_denied" ? t("toast.denied") : describeError(error, t);
  return t(connection.status === "connected" ? "toast.stillConnected" : "toast.stillBroken", {
    name: label,
    reason,
  });
}

/** The dialogs that ask before a connection is connected or disconnected. */
export function ConnectionDialogs({
  connector,
  control: { name, label, connect, disconnect },
  dialog,
  mismatch,
  onAddAccount,
  onClose,
}: {
  connector: Connector;
  control: ConnectionControl;
  dialog: "connect" | "disconnect" | null;
  /** Absent where another part of the page asks about the account. */
  mismatch: Mismatch | undefined;
  /** Adds a connection of this name for the used account. */
  onAddAccount: (name: string) => void;
  onClose: () => void;
}) {
  const { t } = usePreferences();
  const of = mismatch?.of;
  const mismatched = of?.connectorId === connector.id && of.connection === name ? of : null;
  const choice = mismatched?.choice;
  const closeMismatch = () => mismatch?.set(null);
  return (
    <>
      {(dialog === "connect" || choice) && (
        <ConnectDialog
          connector={connector}
          connection={name}
          onConfirm={connect[choice ?? "connect"]}
          onClose={choice ? closeMismatch : onClose}
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
      {mismatched && !choice && (
        <MismatchDialog
          label={label}
          accounts={mismatched}
          onSelect={() => mismatch?.set({ ...mismatched, choice: "selectAccount" })}
          onAdd={onAddAccount}
          onReplace={() => mismatch?.set({ ...mismatched, choice: "connectOtherAccount" })}
          onClose={closeMismatch}
        />
      )}
    </>
  );
}
