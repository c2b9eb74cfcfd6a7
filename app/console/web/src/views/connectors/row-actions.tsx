import { type Connector, launchUrl } from "@grantry/client";
import type { ConnectorOAuthConnect } from "@grantry/react";
import { usePreferences } from "../../lib/preferences.tsx";
import { includes, useHere } from "../../lib/session.tsx";
import { Button, IconButton } from "../../ui/button.tsx";
import { Menu, MenuItem } from "../../ui/menu.tsx";
import type { ShownStatus } from "../../ui/status-badge.tsx";
import type { ConnectionControl } from "./connection-control.tsx";
import { existing, type ShownConnector } from "./shown-connector.ts";
import { triable } from "./try-dialog.tsx";

/** The dialogs of a connector. */
export type RowDialog =
  | "connect"
  | "disconnect"
  | "connections"
  | "details"
  | "try"
  | "test"
  | "edit"
  | "delete";

/** The actions that a connector allows now. */
export function RowActions({
  shown,
  control,
  open,
}: {
  shown: ShownConnector;
  control: ConnectionControl;
  open: (dialog: RowDialog) => void;
}) {
  const { t } = usePreferences();
  const { space } = useHere();
  const { connector, connections, status } = shown;
  const { name } = connector;
  const isEditor = includes(space.role, "editor");
  const needsEdit = status === "client_refused" || status === "incomplete";
  const isTampered = status === "tampered";
  const hasConnections = status !== "not_applicable" && status !== "incomplete" && !isTampered;
  const hasSeveral = existing(connections).length > 1;
  const canReconnect = status === "connected" && !hasSeveral && !control.connect.isAwaitingCallback;

  return (
    <div className="row-actions">
      {isEditor && needsEdit && (
        <Button aria-label={t("connectors.editName", { name })} onClick={() => open("edit")}>
          {t("connectors.edit")}
        </Button>
      )}
      {isEditor && isTampered && (
        <Button aria-label={t("connectors.deleteName", { name })} onClick={() => open("delete")}>
          {t("connectors.delete")}
        </Button>
      )}
      {hasSeveral ? (
        <Button aria-label={t("connectors.connectionsName", { name })} onClick={() => open("connections")}>
          {t("connectors.connections")}
        </Button>
      ) : (
        <ConnectionActions connector={connector} label={name} status={status} control={control} open={open} />
      )}
      <Menu
        label={t("common.more", { name })}
        button={(props) => <IconButton icon="more" label={t("common.more", { name })} {...props} />}
      >
        <MenuItem onSelect={() => open("details")}>{t("connectors.details")}</MenuItem>
        {hasConnections && (
          <MenuItem onSelect={() => open("connections")}>{t("connectors.connections")}</MenuItem>
        )}
        {canReconnect && <MenuItem onSelect={() => open("connect")}>{t("connectors.reconnect")}</MenuItem>}
        {triable(shown).length > 0 && <MenuItem onSelect={() => open("try")}>{t("connectors.try")}</MenuItem>}
        {isEditor && !isTampered && <MenuItem onSelect={() => open("test")}>{t("connectors.test")}</MenuItem>}
        {isEditor && !isTampered && <MenuItem onSelect={() => open("edit")}>{t("connectors.edit")}</MenuItem>}
        {isEditor && (
          <MenuItem danger onSelect={() => open("delete")}>
            {t("connectors.delete")}
          </MenuItem>
        )}
      </Menu>
    </div>
  );
}

/** The actions that one connection allows now. */
export function ConnectionActions({
  connector,
  label,
  status,
  control: { connect, isDisconnecting },
  open,
}: {
  connector: Connector;
  /** How the buttons name the connection. */
  label: string;
  status: ShownStatus;
  control: ConnectionControl;
  open: (dialog: "connect" | "disconnect") => void;
}) {
  const { t } = usePreferences();
  const name = label;

  if (connect.isAwaitingCallback) {
    return (
      <>
        {connect.isStartedElsewhere ? (
          <Button onClick={() => open("connect")} aria-label={t("connectors.startAgainName", { name })}>
            {t("connectors.startAgain")}
          </Button>
        ) : (
          <SignInLink connector={connector} label={label} connect={connect} />
        )}
        <Button onClick={connect.cancelConnect} aria-label={t("connectors.cancelName", { name })}>
          {t("common.cancel")}
        </Button>
      </>
    );
  }
  if (connect.isConnecting) {
    return <Button busy>{t("connectors.starting")}</Button>;
  }
  const disconnect = (
    <Button
      busy={isDisconnecting}
      aria-label={t("connectors.disconnectName", { name })}
      onClick={() => open("disconnect")}
    >
      {isDisconnecting ? t("connectors.disconnecting") : t("connectors.disconnect")}
    </Button>
  );
  switch (status) {
    case "not_applicable":
    case "incomplete":
      return null;
    case "connected":
    case "client_refused":
    // The stored row can hide a grant, which a disconnect ends.
    case "tampered":
      return disconnect;
    case "needs_reauthorization":
      return (
        <>
          {disconnect}
          <Button
            kind="primary"
            aria-label={t("connectors.reconnectName", { name })}
            onClick={() => open("connect")}
          >
            {t("connectors.reconnect")}
          </Button>
        </>
      );
    case "not_connected":
    case "connecting":
      return (
        <Button
          kind="primary"
          aria-label={t("connectors.connectName", { name })}
          onClick={() => open("connect")}
        >
          {t("connectors.connect")}
        </Button>
      );
  }
}

/**
 * Leads to the provider while a flow of this browser waits: the tab that showed it may have been closed. The server rejects it
 * in another browser than the one that started the flow.
 */
function SignInLink({
  connector,
  label,
  connect,
}: {
  connector: Connector;
  label: string;
  connect: ConnectorOAuthConnect;
}) {
  const { t, signInMode } = usePreferences();
  const { call } = useHere();
  if (connect.flowId === null) {
    return null;
  }
  return (
    <a
      className="row-actions__link"
      href={launchUrl(connector.id, connect.flowId, call)}
      aria-label={t("connectors.openSignInName", { name: label })}
      target={signInMode === "new_tab" ? "_blank" : undefined}
      rel="noopener noreferrer"
    >
      {t("connectors.openSignIn")}
    </a>
  );
}
