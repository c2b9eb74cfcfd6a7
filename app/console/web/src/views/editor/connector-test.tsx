import { type Connector, type ConnectorTestResult, testConnector } from "@grantry/client";
import { useMutation } from "@tanstack/react-query";
import type { MessageKey } from "../../i18n/messages.ts";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { CopyText } from "../../ui/copy-text.tsx";
import { Facts } from "../../ui/facts.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Notice } from "../../ui/notice.tsx";

/** Tests a connector, and shows one line for each check. */
export function ConnectorTest({ connector: { id } }: { connector: Connector }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const { mutate, data, error, isPending } = useMutation({ mutationFn: () => testConnector(id, call) });
  const hasResults = data !== undefined && !isPending;
  return (
    <div className="test">
      <p className="muted">{t("test.text")}</p>
      <Button busy={isPending} onClick={() => mutate()}>
        {t(data || error ? "test.again" : "connectors.test")}
      </Button>
      {/* Present from the start, so that screen readers announce what appears in it. */}
      <div role="status">
        {hasResults && (
          <ul className="test__results">
            {data.results.map((result) => (
              <Result key={result.name} result={result} redirectUri={data.redirect_uri} />
            ))}
          </ul>
        )}
      </div>
      {error && !isPending && <Notice kind="error">{describeError(error, t)}</Notice>}
    </div>
  );
}

function Result({
  result,
  redirectUri,
}: {
  result: ConnectorTestResult;
  redirectUri: string | null | undefined;
}) {
  const { t } = usePreferences();
  const { name, ok, detail } = result;
  const state = ok === true ? "ok" : ok === false ? "failed" : "unknown";
  const icon = ({ ok: "checkCircle", failed: "errorCircle", unknown: "circle" } as const)[state];
  const facts = [
    [t("test.field"), result.field && <code key="field">{result.field}</code>],
    [t("diagnostics.status"), result.http_status],
    [t("diagnostics.oauthError"), result.oauth_error && <code key="oauth">{result.oauth_error}</code>],
    [t("diagnostics.host"), result.endpoint_host],
    [
      t("diagnostics.hint"),
      result.hint && (
        <span key="hint" lang="en">
          {result.hint}
        </span>
      ),
    ],
  ] as const;
  return (
    <li className={`test__result test__result--${state}`}>
      <Icon name={icon} />
      <div>
        <p>
          <strong>{t(NAMES[name])}</strong>: {t(`test.${state}`)}
        </p>
        <p className="small">{t(detailText(detail))}</p>
        {name === "redirect_uri" && detail === "to_register" && redirectUri && (
          <CopyText text={redirectUri} label={t("editor.redirectUri")} />
        )}
        {facts.some(([, value]) => value) && <Facts facts={facts} />}
      </div>
    </li>
  );
}

const NAMES: Record<ConnectorTestResult["name"], MessageKey> = {
  settings: "test.name_settings",
  endpoints: "test.name_endpoints",
  client: "test.name_client",
  api: "test.name_api",
  redirect_uri: "editor.redirectUri",
};

const DETAILS: Readonly<Record<string, MessageKey>> = {
  complete: "test.detail_complete",
  missing: "test.detail_missing",
  invalid: "test.detail_invalid",
  host_not_allowed: "error.host_not_allowed",
  resolved: "test.detail_resolved",
  reached: "test.detail_reached",
  accepted: "test.detail_accepted",
  token_accepted: "test.detail_token_accepted",
  api_refused: "test.detail_api_refused",
  api_failed: "test.detail_api_failed",
  api_unreachable: "test.detail_api_unreachable",
  unexpected_tokens: "test.detail_unexpected_tokens",
  not_tested: "test.detail_not_tested",
  to_register: "test.detail_to_register",
  client_refused: "test.detail_client_refused",
  invalid_grant: "test.detail_other",
  grant_type_refused: "test.detail_grant_type_refused",
  oauth_error: "test.detail_other",
  refused: "test.detail_other",
  throttled: "error.rate_limited",
  not_allowed: "error.host_not_allowed",
  not_sent: "test.detail_not_sent",
  no_response: "test.detail_no_response",
  malformed: "test.detail_malformed",
  bad_metadata: "test.detail_bad_metadata",
};

/** A server that is newer than this page may send another detail. */
function detailText(detail: string): MessageKey {
  return (Object.hasOwn(DETAILS, detail) && DETAILS[detail]) || "test.detail_other";
}
