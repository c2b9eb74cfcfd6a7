import { type Connector, DEFAULT_CONNECTION } from "@grantry/client";
import { useQuery } from "@tanstack/react-query";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { consentQuery } from "../../lib/queries.ts";
import { spaceName, useHere, userName } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { Chips, Facts } from "../../ui/facts.tsx";
import { Notice } from "../../ui/notice.tsx";
import { connectionLabel, consentFacts, isNamedByIssuer } from "./shown-connector.ts";

/** Props of {@link ConnectDialog}. */
export interface ConnectDialogProps {
  connector: Connector;
  /** Name of the connection. */
  connection: string;
  /** Called inside the click, so that it may open a tab. */
  onConfirm: () => void;
  onClose: () => void;
}

/** Shows, before the browser goes to the provider, what is connected for which user, and where the access is sent. */
export function ConnectDialog({ connector, connection, onConfirm, onClose }: ConnectDialogProps) {
  const { t } = usePreferences();
  const { session, space, call } = useHere();
  const ofSettings = consentFacts(connector);
  const { data, error, isFetching, refetch } = useQuery({
    ...consentQuery(call, connector),
    enabled: isNamedByIssuer(ofSettings) || !connector.consent,
    retry: false,
  });
  const facts = data ?? ofSettings;
  const others = facts.receivers.filter(({ other_site }) => other_site).map((receiver) => receiver.host);
  const host = facts.provider_host || t("connectDialog.unknownHost");

  return (
    <Dialog
      title={t("connectDialog.title", { name: connectionLabel(connector.name, connection) })}
      onClose={onClose}
    >
      <DialogBody>
        <p>{t("connectDialog.text", { host })}</p>
        <Facts
          facts={[
            [t("connectDialog.connector"), `${connector.name} (${connector.id})`],
            [t("connectDialog.connection"), connection !== DEFAULT_CONNECTION && connection],
            [t("connectDialog.space"), spaceName(space)],
            [t("connectDialog.owner"), t("connectDialog.ownerYou", { name: userName(session) })],
            [t("connectDialog.provider"), facts.provider_host],
            [t("connectDialog.scopes"), facts.scopes.length > 0 && <Chips values={facts.scopes} />],
            [
              t("connectDialog.receivers"),
              facts.receivers.length > 0 && (
                <ul key="receivers">
                  {facts.receivers.map(({ host, receives }) => (
                    <li key={host}>
                      <code>{host}</code>:{" "}
                      {receives.map((one) => t(`connectDialog.receives_${one}`)).join("; ")}
                    </li>
                  ))}
                </ul>
              ),
            ],
          ]}
        />
        {others.length > 0 && (
          <Notice kind="warning">{t("connectDialog.otherSites", { host, hosts: others.join(", ") })}</Notice>
        )}
        {error && <Notice kind="error">{describeError(error, t)}</Notice>}
        {!facts.approved && <Notice kind="warning">{t("connectDialog.unapproved")}</Notice>}
      </DialogBody>
      <DialogActions>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
        {error ? (
          <Button kind="primary" busy={isFetching} onClick={() => void refetch()}>
            {t("common.retry")}
          </Button>
        ) : (
          <Button
            kind="primary"
            icon="external"
            busy={isFetching}
            onClick={() => {
              onConfirm();
              onClose();
            }}
          >
            {t("connectDialog.submit", { host })}
          </Button>
        )}
      </DialogActions>
    </Dialog>
  );
}
