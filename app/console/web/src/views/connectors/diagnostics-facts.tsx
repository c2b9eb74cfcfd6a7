import type { ConnectorAnomaly, ConnectorFailure } from "@grantry/client";
import { isErrorCode } from "@grantry/client";
import { useQuery } from "@tanstack/react-query";
import type { MessageKey, Translate } from "../../i18n/messages.ts";
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
            <span>{t(kindText(kind))}</span>
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
  "settings",
] as const;

/** The text of every kind. A kind of the API without one is an error of the compiler. */
const KIND: Readonly<Record<ConnectorAnomaly["kind"], MessageKey>> = {
  wrong_type: "diagnostics.kind_wrong_type",
  repeated: "diagnostics.kind_repeated",
  too_long: "diagnostics.kind_too_long",
  not_readable: "diagnostics.kind_not_readable",
  not_text: "diagnostics.kind_not_text",
  missing: "diagnostics.kind_missing",
  empty: "diagnostics.kind_empty",
  invalid_characters: "diagnostics.kind_invalid_characters",
  not_integer: "diagnostics.kind_not_integer",
  out_of_range: "diagnostics.kind_out_of_range",
  unsupported: "diagnostics.kind_unsupported",
  unverified: "diagnostics.kind_unverified",
  keys_unavailable: "diagnostics.kind_keys_unavailable",
  other_subject: "diagnostics.kind_other_subject",
  byte_order_mark: "diagnostics.kind_byte_order_mark",
};

/** A server that is newer than this page may send another kind. */
function kindText(kind: ConnectorAnomaly["kind"]): MessageKey {
  return (Object.hasOwn(KIND, kind) && KIND[kind]) || "diagnostics.kind_other";
}
