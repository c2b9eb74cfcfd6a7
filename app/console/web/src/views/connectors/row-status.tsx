import type { Connection, Connector } from "@grantry/client";
import type { ConnectorOAuthConnect } from "@grantry/react";
import type { MessageKey } from "../../i18n/messages.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { minutesAndSeconds } from "../../lib/time.ts";
import { type ShownStatus, StatusBadge } from "../../ui/status-badge.tsx";
import { Time } from "../../ui/time.tsx";
import { consentFacts } from "./shown-connector.ts";

/** The status of a connection, its reason, and the time that is left to finish a flow. */
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
  const { t } = usePreferences();
  const isBusy = connect.isConnecting || connect.isAwaitingCallback;
  const isReconnecting = isBusy && status === "connected";

  return (
    <>
      <StatusBadge status={isBusy && !isReconnecting ? "connecting" : status} />
      {connect.isAwaitingCallback ? (
        <span className="small muted cell-status__note">
          {connect.startUrl ? (
            <>
              {t("connectors.popupBlocked")}{" "}
              <a href={connect.startUrl} target="_blank" rel="noopener noreferrer">
                {t("connectors.openSignIn")}
              </a>
            </>
          ) : (
            t("connectors.waiting", {
              host: consentFacts(connector).provider_host || t("connectDialog.unknownHost"),
            })
          )}
          {connect.secondsLeft !== null && (
            <span role="timer" className="cell-status__timer">
              {t("connectors.timeLeft", { time: minutesAndSeconds(connect.secondsLeft) })}
            </span>
          )}
        </span>
      ) : (
        <Note status={status} connection={connection} />
      )}
      {isReconnecting && (
        <span className="small muted cell-status__note">{t("connectors.reconnecting")}</span>
      )}
      {status === "needs_reauthorization" && connection?.since && (
        <span className="small muted">
          <Time value={connection.since} />
        </span>
      )}
    </>
  );
}

function Note({ status, connection }: { status: ShownStatus; connection: Connection | undefined }) {
  const { t } = usePreferences();
  const text = noteOf(status, connection?.reason, connection?.provider_note);
  return text && <span className="small muted cell-status__note">{t(text)}</span>;
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
  "revocation_pending",
  "revocation_not_supported",
  "revocation_abandoned",
] as const;

/** The text of a reason or note. Only known ones have a text: strings of the server are never shown. */
function noteOf(
  status: ShownStatus,
  reason: string | null | undefined,
  note: string | null | undefined,
): MessageKey | undefined {
  if (status === "needs_reauthorization") {
    return `reason.${REASONS.find((known) => known === reason) ?? "other"}`;
  }
  if (status === "not_applicable") {
    return "connectors.sharedNote";
  }
  if (status === "incomplete") {
    return "connectors.missingSecrets";
  }
  const known = NOTES.find((one) => one === note);
  return known && `note.${known}`;
}
