import type { Connector } from "@grantry/client";
import { useConnectorAuthStatus } from "@grantry/react";
import { useQuery } from "@tanstack/react-query";
import { useDeferredValue, useEffect, useRef, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { navigate, urlOf, usePlace } from "../../lib/location.ts";
import { StaleProvider, useOutage } from "../../lib/outage.tsx";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery } from "../../lib/queries.ts";
import { includes, useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { EmptyState, SkeletonRows } from "../../ui/state.tsx";
import { DeleteDialog } from "../editor/delete-dialog.tsx";
import { EditDialog } from "../editor/edit-dialog.tsx";
import { ConnectorTable, rowId } from "./connector-table.tsx";
import { type Filter, filterOf, joinStatuses, matches, passes } from "./shown-connector.ts";
import { Toolbar } from "./toolbar.tsx";
import { useRedirectOutcome } from "./use-redirect-outcome.ts";

/** The connectors of a space, with the status of the signed-in user at each. */
export function ConnectorsView() {
  const { t } = usePreferences();
  const { space, call } = useHere();
  const { parameters } = usePlace();
  const search = parameters.get("q") ?? "";
  const filter = filterOf(parameters.get("status"));
  const deferredSearch = useDeferredValue(search);
  const [editing, setEditing] = useState<Connector | null>(null);
  const { deleting, setDeleting, heading, deleted } = useDeletion();
  const { isDown } = useOutage();
  const isEditor = includes(space.role, "editor");

  const list = useQuery(connectorsQuery(call));
  const statuses = useConnectorAuthStatus({ spaceId: space.id });
  const mismatch = useRedirectOutcome();

  const isStale = isDown || list.isError || statuses.error !== null;
  const all = joinStatuses(list.data ?? [], statuses.authStatus);
  const shown = all.filter((one) => passes(one, filter) && matches(one, deferredSearch));
  const narrow = (change: { q?: string; status?: Filter }) => {
    const { q, status } = { q: search, status: filter, ...change };
    navigate(urlOf(space.id, "connectors", { q, status: status === "all" ? "" : status }), { replace: true });
  };
  const create = isEditor && (
    <Button kind="primary" icon="plus" onClick={() => navigate(urlOf(space.id, "new"))}>
      {t("connectors.create")}
    </Button>
  );

  return (
    <>
      <header className="page-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {t("connectors.title")}
          </h1>
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
            <StaleProvider value={isStale}>
              <ConnectorTable shown={shown} mismatch={mismatch} onEdit={setEditing} onDelete={setDeleting} />
            </StaleProvider>
          )}
        </>
      )}
      {editing && <EditDialog key={editing.id} connector={editing} onClose={() => setEditing(null)} />}
      {deleting && (
        <DeleteDialog
          connector={deleting}
          onDeleted={() => deleted(shown.map(({ connector }) => connector.id))}
          onClose={() => setDeleting(null)}
        />
      )}
    </>
  );
}

/** The connector to delete. After the deletion the focus moves to the next row, else to the one before, else to the heading. */
function useDeletion() {
  const [deleting, setDeleting] = useState<Connector | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const next = useRef<string | null | undefined>(undefined);

  useEffect(() => {
    if (deleting === null && next.current !== undefined) {
      const row = next.current === null ? null : document.getElementById(rowId(next.current));
      (row ?? heading.current)?.focus();
      next.current = undefined;
    }
  }, [deleting]);

  const deleted = (ids: readonly string[]) => {
    const at = deleting ? ids.indexOf(deleting.id) : -1;
    next.current = ids[at + 1] ?? ids[at - 1] ?? null;
  };
  return { deleting, setDeleting, heading, deleted };
}
