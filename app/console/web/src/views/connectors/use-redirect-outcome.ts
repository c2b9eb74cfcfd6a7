import { authStatus, connectionOf, connectors as readConnectors } from "@grantry/client";
import { useOAuthRedirectResult } from "@grantry/react";
import { useState } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { failureText, type Mismatch, mismatchedAccounts } from "./connection-control.tsx";
import { connectionLabel } from "./shown-connector.ts";

/**
 * Shows the result that a redirect returned. Any page can link to such a URL, so no text of it is shown: names are looked up,
 * and a success is shown only after the server has confirmed it. Returns the connection that was authorized with another
 * account.
 */
export function useRedirectOutcome(): Mismatch {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const [mismatched, setMismatched] = useState<Mismatch["of"]>(null);

  /** The connector and its status; undefined where the user sees no connector with this id. */
  const lookUp = async (id: string) => {
    try {
      const [list, statuses] = await Promise.all([readConnectors(call), authStatus(call)]);
      const connector = list.find((one) => one.id === id);
      return connector && { connector, status: statuses[id] };
    } catch {
      return undefined;
    }
  };

  useOAuthRedirectResult({
    spaceId: call.space,
    onSuccess: async (id, name) => {
      const found = await lookUp(id);
      const connection = connectionOf(found?.status, name);
      if (found && connection?.status === "connected") {
        const label = connectionLabel(found.connector.name, connection.name);
        toast("success", t("toast.connected", { name: label }), id);
      }
    },
    onError: async (id, error, name) => {
      const found = error.code === "unexpected_response" ? undefined : await lookUp(id);
      if (!found) {
        return;
      }
      // A connection that was never made has no record; its name is only in the URL.
      const connection = connectionOf(found.status, name);
      const accounts = mismatchedAccounts(error, connection);
      if (connection && accounts) {
        setMismatched({ connectorId: id, connection: connection.name, ...accounts });
      } else {
        const label = connectionLabel(found.connector.name, connection?.name);
        toast("error", failureText(error, label, found.status, name, t), id);
      }
    },
  });
  return { of: mismatched, set: setMismatched };
}
