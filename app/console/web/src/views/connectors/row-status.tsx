import type { Connection, Connector } from "@grantry/client";
import type { ConnectorOAuthConnect } from "@grantry/react";
import type { MessageKey } from "../../i18n/messages.ts";
import { useIsStale } from "../../lib/outage.tsx";
import { usePreferences } from "../../lib/preferences.tsx";
import { minutesAndSeconds } from "../../lib/time.ts";
import { type ShownStatus, StatusBadge } from "../../ui/status-badge.tsx";
import { Since } from "../../ui/time.tsx";
import { consentFacts } from "./shown-connector.ts";

/** The status of a connection, its reason and since when it holds, and the time that is left to finish a flow. */
export function RowStatus({
  connector,
  connection,
  status,
  connect,
}: {
  connector: Connector;
  connection: Connection | undefined;
  status: ShownStatus;
  connect: ConnectorOAuthConnect;
}) {
  const isBusy = connect.isConnecting || connect.isAwaitingCallback;
  const keepsStatus = status === "connected" || status === "client_refused";
  return (
    <div className="row-status">
      <span className="row-status__line">
        <StatusBadge status={isBusy && !keepsStatus ? "connecting" : status} />
        {isBusy ? (
          <Progress connect={connect} isReconnecting={keepsStatus} />
        ) : (
          <Since value={sinceOf(status, connection)} />
        )}
      </span>
      {connect.isAwaitingCallback ? (
        <Waiting connector={connector} connect={connect} />
      ) : (
        <Note status={status} connection={connection} />
      )}
    </div>
  );
}

function Progress({ connect, isReconnecting }: { connect: ConnectorOAuthConnect; isReconnecting: boolean }) {
  const { t } = usePreferences();
  return (
    <span className="row-status__progress">
      {isReconnecting && <span>{t("connectors.reconnecting")}</span>}
      {connect.secondsLeft !== null && (
        <span role="timer" className="row-status__timer">
          {t("connectors.timeLeft", { time: minutesAndSeconds(connect.secondsLeft) })}
        </span>
      )}
    </span>
  );
}

function Waiting({ connector, connect }: { connector: Connector; connect: ConnectorOAuthConnect }) {
  const { t } = usePreferences();
  const host = consentFacts(connector).provider_host || t("connectDialog.unknownHost");
  const here = connect.startUrl ? t("connectors.popupBlocked") : t("connectors.waiting", { host });
  const text = connect.isStartedElsewhere ? t("connectors.waitingElsewhere") : here;
  return (
    <span className="row-status__note one-line" title={text}>
      {text}
    </span>
  );
}

function Note({ status, connection }: { status: ShownStatus; connection: Connection | undefined }) {
  const { t } = usePreferences();
  const isStale = useIsStale();
  const text = noteOf(status, connection);
  const missing = status === "connected" ? (connection?.missing_scopes?.length ?? 0) : 0;
  if (!text && missing === 0 && !isStale) {
    return null;
  }
  return (
    <span className="row-status__note">
      {isStale && <span>{t("outage.stale")}</span>}
      {text && <span>{t(text)}</span>}
      {missing > 0 && <span>{t("note.missing_scopes", { count: missing })}</span>}
    </span>
  );
}

const REASONS = [
  "access_token_expired",
  "refresh_token_expired",
  "refresh_rejected",
  "connector_changed",
  "insufficient_scope",
  "undecryptable",
  "admin",
] as const;
const NOTES = [
  "provider_unreachable",
  "refresh_refused",
  "client_refused",
  "revocation_pending",
  "revocation_not_supported",
  "revocation_abandoned",
] as const;

/** The text of a reason or note. Only known ones have a text: strings of the server are never shown. */
export function noteOf(status: ShownStatus, connection: Connection | undefined): MessageKey | undefined {
  if (status === "needs_reauthorization") {
    return reasonText(connection?.reason);
  }
  if (status === "not_applicable") {
    return "connectors.sharedNote";
  }
  if (status === "incomplete") {
    return "connectors.missingSecrets";
  }
  if (status === "tampered") {
    return "connectors.tamperedNote";
  }
  const known = NOTES.find((one) => one === connection?.provider_note);
  return known && `note.${known}`;
}

/** Why a new consent is needed. */
export function reasonText(reason: string | null | undefined): MessageKey {
  return `reason.${REASONS.find((known) => known === reason) ?? "other"}`;
}

/** Since when what {@link noteOf} describes holds, else since when the status does. */
export function sinceOf(status: ShownStatus, connection: Connection | undefined): string | null | undefined {
  if (["not_applicable", "incomplete", "tampered", "connecting"].includes(status)) {
    return undefined;
  }
  const hasNote = status !== "needs_reauthorization" && noteOf(status, connection) !== undefined;
  return (hasNote ? connection?.provider_note_since : undefined) ?? connection?.since;
}
