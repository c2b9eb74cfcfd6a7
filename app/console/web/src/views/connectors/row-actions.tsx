import type { ConnectorOAuthConnect } from "@grantry/react";
import { usePreferences } from "../../lib/preferences.tsx";
import { includes, useHere } from "../../lib/session.tsx";
import { Button, IconButton } from "../../ui/button.tsx";
import { Menu, MenuItem } from "../../ui/menu.tsx";
import type { RowDialog } from "./connector-row.tsx";
import type { ShownConnector } from "./shown-connector.ts";

/** Props of {@link RowActions}. */
export interface RowActionsProps {
  shown: ShownConnector;
  connection: ConnectorOAuthConnect;
  isDisconnecting: boolean;
  open: (dialog: RowDialog) => void;
}

/** What one can do with a connector now. */
export function RowActions({ shown, connection, isDisconnecting, open }: RowActionsProps) {
  const { t } = usePreferences();
  const { space } = useHere();
  const { name } = shown.connector;
  const isEditor = includes(space.role, "editor");
  const canReconnect = shown.status === "connected" && !connection.isAwaitingCallback;

  return (
    <div className="row-actions">
      <MainAction shown={shown} connection={connection} isDisconnecting={isDisconnecting} open={open} />
      <Menu
        label={t("common.more", { name })}
        button={(props) => <IconButton icon="more" label={t("common.more", { name })} {...props} />}
      >
        <MenuItem onSelect={() => open("details")}>{t("connectors.details")}</MenuItem>
        {canReconnect && <MenuItem onSelect={() => open("connect")}>{t("connectors.reconnect")}</MenuItem>}
        {isEditor && <MenuItem onSelect={() => open("edit")}>{t("connectors.edit")}</MenuItem>}
        {isEditor && (
          <MenuItem danger onSelect={() => open("delete")}>
            {t("connectors.delete")}
          </MenuItem>
        )}
      </Menu>
    </div>
  );
}

function MainAction({ shown, connection, isDisconnecting, open }: RowActionsProps) {
  const { t } = usePreferences();
  const { name } = shown.connector;

  if (connection.isAwaitingCallback) {
    return (
      <Button onClick={connection.cancelConnect} aria-label={t("connectors.cancelName", { name })}>
        {t("common.cancel")}
      </Button>
    );
  }
  if (connection.isConnecting) {
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
  switch (shown.status) {
    case "not_applicable":
    case "incomplete":
      return null;
    case "connected":
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
