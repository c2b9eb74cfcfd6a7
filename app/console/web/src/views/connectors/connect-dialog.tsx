import type { Connector } from "@grantry/client";
import { usePreferences } from "../../lib/preferences.tsx";
import { personName, spaceName, useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { Chips, Facts } from "../../ui/facts.tsx";
import { Notice } from "../../ui/notice.tsx";
import { consentFacts } from "./shown-connector.ts";

/** Props of {@link ConnectDialog}. */
export interface ConnectDialogProps {
  connector: Connector;
  /** Called inside the click, so that it may open a tab. */
  onConfirm: () => void;
  onClose: () => void;
}

/** Says, before one leaves for the provider, what will be connected for whom, and where the access goes (R19). */
export function ConnectDialog({ connector, onConfirm, onClose }: ConnectDialogProps) {
  const { t } = usePreferences();
  const { session, space } = useHere();
  const facts = consentFacts(connector);
  const host = facts.provider_host || t("connectDialog.unknownHost");

  return (
    <Dialog title={t("connectDialog.title", { name: connector.name })} onClose={onClose}>
      <DialogBody>
        <p>{t("connectDialog.text", { host })}</p>
        <Facts
          facts={[
            [t("connectDialog.connector"), `${connector.name} (${connector.id})`],
            [t("connectDialog.space"), spaceName(space)],
            [t("connectDialog.owner"), t("connectDialog.ownerYou", { name: personName(session) })],
            [t("connectDialog.provider"), facts.provider_host],
            [t("connectDialog.scopes"), facts.scopes.length > 0 && <Chips values={facts.scopes} />],
            [
              t("connectDialog.destinations"),
              facts.destination_hosts.length > 0 && <Chips values={facts.destination_hosts} />,
            ],
          ]}
        />
        {!facts.approved && <Notice kind="warning">{t("connectDialog.unapproved")}</Notice>}
      </DialogBody>
      <DialogActions>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
        <Button
          kind="primary"
          icon="external"
          onClick={() => {
            onConfirm();
            onClose();
          }}
        >
          {t("connectDialog.submit", { host })}
        </Button>
      </DialogActions>
    </Dialog>
  );
}
