import type { ConnectorOAuthConnect } from "@grantry/react";
import type { MessageKey } from "../../i18n/messages.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { minutesAndSeconds } from "../../lib/time.ts";
import { StatusBadge } from "../../ui/status-badge.tsx";
import { Time } from "../../ui/time.tsx";
import { consentFacts, type ShownConnector } from "./shown-connector.ts";

/** A connector's status, why it is so, and how long there is to wait. */
export function RowStatus({
  shown,
  connection,
}: {
  shown: ShownConnector;
  connection: ConnectorOAuthConnect;
}) {
  const { t } = usePreferences();
  const { connector, auth, status } = shown;
  const isBusy = connection.isConnecting || connection.isAwaitingCallback;
  const isReconnecting = isBusy && status === "connected";

  return (
    <>
      <StatusBadge status={isBusy && !isReconnecting ? "connecting" : status} />
      {connection.isAwaitingCallback ? (
        <span className="small muted cell-status__note">
          {connection.startUrl ? (
            <>
              {t("connectors.popupBlocked")}{" "}
              <a href={connection.startUrl} target="_blank" rel="noopener noreferrer">
                {t("connectors.openSignIn")}
              </a>
            </>
          ) : (
            t("connectors.waiting", {
              host: consentFacts(connector).provider_host || t("connectDialog.unknownHost"),
            })
          )}
          {connection.secondsLeft !== null && (
            <span role="timer" className="cell-status__timer">
              {t("connectors.timeLeft", { time: minutesAndSeconds(connection.secondsLeft) })}
            </span>
          )}
        </span>
      ) : (
        <Note shown={shown} />
      )}
      {isReconnecting && <span className="small muted cell-status__note">{t("connectors.pendingNote")}</span>}
      {status === "needs_reauthorization" && auth.since && (
        <span className="small muted">
          <Time value={auth.since} />
        </span>
      )}
    </>
  );
}

function Note({ shown: { status, auth } }: { shown: ShownConnector }) {
  const { t } = usePreferences();
  const text = noteOf(status, auth.reason, auth.provider_note);
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
  "revocation_unconfirmed",
] as const;

/** The words for a reason. Only known reasons have any: what the server sends is never shown as it is. */
function noteOf(
  status: ShownConnector["status"],
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
