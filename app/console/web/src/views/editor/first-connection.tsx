import { type Connector, DEFAULT_CONNECTION } from "@grantry/client";
import { useConnectorAuthStatus } from "@grantry/react";
import { useState } from "react";
import { navigate, urlOf } from "../../lib/location.ts";
import { useHere } from "../../lib/session.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { ConnectionDialogs, useConnectionControl } from "../connectors/connection-control.tsx";
import { ConnectionActions } from "../connectors/row-actions.tsx";
import { joinStatuses } from "../connectors/shown-connector.ts";
import { TryConnection } from "../connectors/try-connection.tsx";
import { triable } from "../connectors/try-dialog.tsx";
import { useRedirectOutcome } from "../connectors/use-redirect-outcome.ts";

/** Lets the editor connect an account to a new connector, and try the connection. */
export function FirstConnection({ connector }: { connector: Connector }) {
  const { space } = useHere();
  const { authStatus } = useConnectorAuthStatus({ spaceId: space.id });
  const [dialog, setDialog] = useState<"connect" | "disconnect" | null>(null);
  const mismatch = useRedirectOutcome();
  const control = useConnectionControl(connector, DEFAULT_CONNECTION, mismatch);
  const [shown] = joinStatuses([connector], authStatus);
  if (!shown) {
    return null;
  }
  return (
    <div className="create__connect" data-keeps-focus="">
      <StatusBadge status={shown.status} />
      <ConnectionActions
        connector={connector}
        label={connector.name}
        status={shown.status}
        control={control}
        open={setDialog}
      />
      <ConnectionDialogs
        connector={connector}
        control={control}
        dialog={dialog}
        mismatch={mismatch}
        // Several connections are managed in the list.
        onAddAccount={() => navigate(urlOf(space.id))}
        onClose={() => setDialog(null)}
      />
      {triable(shown).map((connection) => (
        <TryConnection key={connection.name} connector={connector} connection={connection} />
      ))}
    </div>
  );
}
