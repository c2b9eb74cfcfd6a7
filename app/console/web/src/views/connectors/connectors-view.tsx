import { authStatus, connectionOf } from "@grantry/client";
import { useConnectorAuthStatus, useOAuthRedirectResult } from "@grantry/react";
import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { navigate, urlOf, usePlace } from "../../lib/location.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery } from "../../lib/queries.ts";
import { includes, useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { EmptyState, SkeletonRows } from "../../ui/state.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { CreateDialog } from "../editor/create-dialog.tsx";
import type { Mismatch } from "./connection-control.tsx";
import { ConnectorTable } from "./connector-table.tsx";
import { connectionLabel, type Filter, filterOf, joinStatuses, matches, passes } from "./shown-connector.ts";
import { Toolbar } from "./toolbar.tsx";

/** The connectors of a space, with the status of the signed-in user at each. */
export function ConnectorsView() {
  const { t } = usePreferences();
  const { space, call } = useHere();
  const { parameters } = usePlace();
  const search = parameters.get("q") ?? "";
  const filter = filterOf(parameters.get("status"));
  const deferredSearch = useDeferredValue(search);
  const [isCreating, setCreating] = useState(false);
  const isEditor = includes(space.role, "editor");

  const list = useQuery(connectorsQuery(call));
  const statuses = useConnectorAuthStatus({ spaceId: space.id });
  const mismatch = useRedirectOutcome();

  const all = joinStatuses(list.data ?? [], statuses.authStatus);
  const shown = all.filter((one) => passes(one, filter) && matches(one, deferredSearch));
  const narrow = (change: { q?: string; status?: Filter }) => {
    const { q, status } = { q: search, status: filter, ...change };
    navigate(urlOf(space.id, "connectors", { q, status: status === "all" ? "" : status }), { replace: true });
  };
  const create = isEditor && (
    <Button kind="primary" icon="plus" onClick={() => setCreating(true)}>
      {t("connectors.create")}
    </Button>
  );

  return (
    <>
      <header className="page-head">
        <div>
          <h1>{t("connectors.title")}</h1>
          <p className="muted">{t("connectors.text")}</p>
        </div>
        {list.data && list.data.length > 0 && create}
      </header>

      {list.isPending && <SkeletonRows label={t("common.loading")} />}
      {list.error && !list.data && (
        <EmptyState icon="warning" title={t("connectors.errorTitle")} text={describeError(list.error, t)}>
          <Button onClick={() => void list.refetch()}>{t("common.retry")}</Button>
        </EmptyState>
      )}
      {list.data?.length === 0 && (
        <EmptyState
          icon="link"
          title={t("connectors.emptyTitle")}
          text={isEditor ? t("connectors.emptyTextEditor") : t("connectors.emptyTextViewer")}
        >
          {create}
        </EmptyState>
      )}
      {all.length > 0 && (
        <>
          <Toolbar all={all} search={search} filter={filter} onChange={narrow} />
          {shown.length === 0 ? (
            <EmptyState icon="search" title={t("connectors.noMatchTitle")} text={t("connectors.noMatchText")}>
              <Button onClick={() => narrow({ q: "", status: "all" })}>{t("connectors.clear")}</Button>
            </EmptyState>
          ) : (
            <ConnectorTable shown={shown} mismatch={mismatch} />
          )}
        </>
      )}
      {isCreating && <CreateDialog onClose={() => setCreating(false)} />}
    </>
  );
}

/**
 * Shows the result that a redirect returned. Any page can link to such a URL, so a success is shown only after the server
 * has confirmed it. Returns the connection that was authorized with another account.
 */
function useRedirectOutcome(): Mismatch {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const [mismatched, setMismatched] = useState<Mismatch["of"]>(null);

  useOAuthRedirectResult({
    spaceId: call.space,
    onSuccess: async (connectorId, connection) => {
      const status = (await authStatus(call).catch(() => undefined))?.[connectorId];
      if (connectionOf(status, connection)?.status === "connected") {
        toast("success", t("toast.connected", { name: connectionLabel(connectorId, connection) }));
      }
    },
    onError: (connectorId, error, connection) => {
      if (error.code === "account_mismatch") {
        setMismatched({ connectorId, connection });
      } else {
        const name = connectionLabel(connectorId, connection);
        toast("error", t("toast.connectFailed", { name, reason: describeError(error, t) }));
      }
    },
  });
  return { of: mismatched, set: setMismatched };
}
