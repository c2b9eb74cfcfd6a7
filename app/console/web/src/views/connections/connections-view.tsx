import { type Grant, revokeGrant } from "@grantry/client";
import { ALL_AUTH_STATUS_KEY } from "@grantry/react";
import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { StaleProvider, useOutage } from "../../lib/outage.tsx";
import { usePreferences } from "../../lib/preferences.tsx";
import {
  connectorsQuery,
  GRANTS_KEY,
  type GrantsFilter,
  grantsQuery,
  usersQuery,
} from "../../lib/queries.ts";
import { includes, useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { ConfirmDialog } from "../../ui/confirm-dialog.tsx";
import { EmptyState, SkeletonRows } from "../../ui/state.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { connectionLabel } from "../connectors/shown-connector.ts";
import { ConnectionFilters } from "./connection-filters.tsx";
import { ConnectionTable } from "./connection-table.tsx";
import { nameOfUser } from "./user-name.ts";
import { UsersDialog } from "./users-dialog.tsx";

const NO_FILTER: GrantsFilter = { connector: "", user: "", status: "" };

/** The connections of all users of the space, for its admins. */
export function ConnectionsView() {
  const { t } = usePreferences();
  const { session, call } = useHere();
  const toast = useToast();
  const queryClient = useQueryClient();
  const [filter, setFilter] = useState(NO_FILTER);
  const [revoking, setRevoking] = useState<Grant | null>(null);
  const [isManaging, setManaging] = useState(false);
  const { isDown } = useOutage();
  const connectors = useQuery(connectorsQuery(call));
  // Names are for display. Without access to them the ids are shown.
  const users = useQuery({ ...usersQuery(call), retry: false });
  const grants = useInfiniteQuery(grantsQuery(call, useDeferredValue(filter)));

  const shown = grants.data?.pages.flatMap((page) => page.grants) ?? [];
  const isFiltered = Object.values(filter).some((value) => value !== "");
  const nameOf = (id: string) => nameOfUser(id, users.data);
  const mayDeprovision = session.spaces.every((space) => includes(space.role, "admin"));
  const labelOf = (grant: Grant) => {
    const listed = connectors.data?.find(({ id }) => id === grant.connectorId)?.name;
    return connectionLabel(grant.connectorName ?? listed ?? grant.connectorId, grant.connection);
  };
  const refresh = () =>
    Promise.all([
      queryClient.invalidateQueries({ queryKey: GRANTS_KEY }),
      queryClient.invalidateQueries({ queryKey: ALL_AUTH_STATUS_KEY }),
    ]);

  return (
    <>
      <header className="page-head">
        <div>
          <h1>{t("connections.title")}</h1>
          <p className="muted">{t("connections.text")}</p>
        </div>
        {mayDeprovision && <Button onClick={() => setManaging(true)}>{t("users.open")}</Button>}
      </header>
      <ConnectionFilters filter={filter} connectors={connectors.data ?? []} onChange={setFilter} />

      {grants.isPending && <SkeletonRows label={t("common.loading")} />}
      {grants.error && !grants.data && (
        <EmptyState icon="warning" title={t("connections.errorTitle")} text={describeError(grants.error, t)}>
          <Button onClick={() => void grants.refetch()}>{t("common.retry")}</Button>
        </EmptyState>
      )}
      {grants.data && shown.length === 0 && (
        <EmptyState
          icon="users"
          title={t("connections.emptyTitle")}
          text={isFiltered ? t("connections.noMatchText") : t("connections.emptyText")}
        >
          {isFiltered && <Button onClick={() => setFilter(NO_FILTER)}>{t("connectors.clear")}</Button>}
        </EmptyState>
      )}
      {shown.length > 0 && (
        <StaleProvider value={isDown || grants.isError}>
          <ConnectionTable grants={shown} labelOf={labelOf} nameOf={nameOf} onRevoke={setRevoking} />
        </StaleProvider>
      )}
      {grants.hasNextPage && (
        <div className="center-row">
          <Button busy={grants.isFetchingNextPage} onClick={() => void grants.fetchNextPage()}>
            {t("connections.more")}
          </Button>
        </div>
      )}

      {revoking && (
        <ConfirmDialog
          title={t("connections.revokeTitle")}
          submit={t("connections.revoke")}
          onConfirm={async () => {
            await revokeGrant(revoking.grantId, call);
            toast("success", t("toast.revoked"));
            await refresh();
          }}
          onClose={() => setRevoking(null)}
        >
          <p>
            {t("connections.revokeText", {
              user: nameOf(revoking.userId),
              connector: labelOf(revoking),
            })}
          </p>
        </ConfirmDialog>
      )}
      {isManaging && (
        <UsersDialog
          onDone={(text) => {
            toast("success", text);
            void refresh();
          }}
          onClose={() => setManaging(false)}
        />
      )}
    </>
  );
}
