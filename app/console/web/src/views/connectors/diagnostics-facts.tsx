import type { ConnectorAnomaly, ConnectorFailure } from "@grantry/client";
import { isErrorCode } from "@grantry/client";
import { useQuery } from "@tanstack/react-query";
import type { Translate } from "../../i18n/messages.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { diagnosticsQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Facts } from "../../ui/facts.tsx";
import { Time } from "../../ui/time.tsx";

/** What failed last at the provider, and what it sends in an unusual form, for editors. Nothing where there is neither. */
export function DiagnosticsFacts({ connectorId }: { connectorId: string }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const { data } = useQuery(diagnosticsQuery(call, connectorId));
  const failure = data?.last_failure;
  const refusedSince = data?.client_refused_since;
  const anomalies = data?.anomalies ?? [];
  return (
    <>
      {(failure || refusedSince) && (
        <section className="diagnostics" aria-label={t("diagnostics.failure")}>
          <h3>{t("diagnostics.failure")}</h3>
          <Facts
            facts={[
              [t("diagnostics.refusedSince"), refusedSince && <Time key="refused" value={refusedSince} />],
              ...(failure ? failureFacts(failure, t) : []),
            ]}
          />
        </section>
      )}
      {anomalies.length > 0 && <Anomalies anomalies={anomalies} />}
    </>
  );
}

function failureFacts(failure: ConnectorFailure, t: Translate) {
  const { code, oauth_error, operation } = failure;
  return [
    [t("diagnostics.at"), <Time key="at" value={failure.at} />],
    [
      t("diagnostics.operation"),
      t(`diagnostics.operation_${OPERATIONS.find((one) => one === operation) ?? "other"}`),
    ],
    [t("diagnostics.problem"), isErrorCode(code) ? t(`error.${code}`) : <code key="code">{code}</code>],
    [t("diagnostics.status"), failure.http_status],
    [t("diagnostics.oauthError"), oauth_error && <code key="oauth">{oauth_error}</code>],
    [t("diagnostics.host"), failure.endpoint_host],
    [t("diagnostics.hint"), failure.hint],
    [t("diagnostics.reference"), failure.correlation_id && <code key="id">{failure.correlation_id}</code>],
  ] as const;
}

function Anomalies({ anomalies }: { anomalies: readonly ConnectorAnomaly[] }) {
  const { t } = usePreferences();
  return (
    <section className="diagnostics" aria-label={t("diagnostics.anomalies")}>
      <h3>{t("diagnostics.anomalies")}</h3>
      <p className="small muted">{t("diagnostics.anomaliesText")}</p>
      <ul className="anomalies">
        {anomalies.map(({ member, kind, at }) => (
          <li key={`${member} ${kind}`}>
            <code>{member}</code>
            <span>{t(`diagnostics.kind_${KINDS.find((one) => one === kind) ?? "other"}`)}</span>
            <span className="small muted">
              <Time value={at} />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const OPERATIONS = [
  "exchange",
  "refresh",
  "discovery",
  "revocation",
  "client_credentials",
  "userinfo",
  "authorization",
] as const;
const KINDS = ["wrong_type", "repeated", "too_long", "not_text", "missing"] as const;
