import { usePreferences } from "../../lib/preferences.tsx";
import { includes, useHere } from "../../lib/session.tsx";
import { CopyText } from "../../ui/copy-text.tsx";
import { Dialog, DialogBody } from "../../ui/dialog.tsx";
import { Chips, Facts } from "../../ui/facts.tsx";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { Day, Time } from "../../ui/time.tsx";
import { DiagnosticsFacts } from "./diagnostics-facts.tsx";
import { noteOf, sinceOf } from "./row-status.tsx";
import { consentFacts, type ShownConnector } from "./shown-connector.ts";

/** The details of a connector and of the user's connection. */
export function DetailsDialog({ shown, onClose }: { shown: ShownConnector; onClose: () => void }) {
  const { t } = usePreferences();
  const { space } = useHere();
  const { connector, connection, status } = shown;
  const { provider_host, scopes, destination_hosts } = consentFacts(connector);
  const missing = connection?.missing_scopes ?? [];
  const note = noteOf(status, connection);
  const since = sinceOf(status, connection);
  const isEditor = includes(space.role, "editor");

  return (
    <Dialog title={connector.name} onClose={onClose}>
      <DialogBody>
        <Facts
          facts={[
            [t("connectors.columnStatus"), <StatusBadge key="status" status={status} />],
            [t("detailsDialog.note"), note && t(note)],
            [t("detailsDialog.account"), connection?.account],
            [t("detailsDialog.since"), since && <Time value={since} />],
            [
              t("detailsDialog.lastUsed"),
              (status === "connected" || connection?.last_used_at) && (
                <Day value={connection?.last_used_at} />
              ),
            ],
            [t("detailsDialog.provider"), provider_host],
            [t("detailsDialog.scopes"), scopes.length > 0 && <Chips values={scopes} />],
            [
              t("detailsDialog.missingScopes"),
              missing.length > 0 && <Chips key="missing" values={missing} />,
            ],
            [
              t("detailsDialog.destinations"),
              destination_hosts.length > 0 && <Chips values={destination_hosts} />,
            ],
            [t("detailsDialog.type"), <code key="type">{connector.connector_type_id}</code>],
            [t("detailsDialog.id"), <code key="id">{connector.id}</code>],
            [t("detailsDialog.updated"), <Time key="updated" value={connector.updated_at} />],
            [
              t("detailsDialog.redirectUri"),
              isEditor && connector.redirect_uri && (
                <CopyText text={connector.redirect_uri} label={t("detailsDialog.redirectUri")} />
              ),
            ],
          ]}
        />
        {isEditor && status !== "tampered" && <DiagnosticsFacts connectorId={connector.id} />}
      </DialogBody>
    </Dialog>
  );
}
