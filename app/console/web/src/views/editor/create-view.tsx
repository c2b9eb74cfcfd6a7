import {
  type Connector,
  type ConnectorBody,
  type ConnectorType,
  createConnector,
  GrantryError,
  previewUpdate,
  updateConnector,
} from "@grantry/client";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { type ReactNode, useEffect, useRef } from "react";
import { describeError } from "../../lib/errors.ts";
import { navigate, urlOf, usePlace } from "../../lib/location.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorsQuery, connectorTypesQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { ProviderLogo } from "../../ui/provider-logo.tsx";
import { EmptyState, SkeletonRows } from "../../ui/state.tsx";
import { typeOfUnknown } from "./config.ts";
import { ConnectorForm } from "./connector-form.tsx";
import { ConnectorTest } from "./connector-test.tsx";
import { FirstConnection } from "./first-connection.tsx";
import { FormError } from "./form-errors.ts";
import { type GuidedType, Notes, SetupGuide } from "./setup-guide.tsx";
import { TypePicker } from "./type-picker.tsx";
import { useDiscardGuard } from "./use-discard-guard.tsx";

/**
 * Creates a connector: the provider, its registration, the credentials, a test. The URL contains the provider, then the connector,
 * so that a reload and the return from a provider continue at the same step.
 */
export function CreateView() {
  const { call } = useHere();
  const { parameters } = usePlace();
  const types = useQuery(connectorTypesQuery(call));
  const type = types.data?.find(({ id }) => id === parameters.get("type"));
  const created = parameters.get("connector");
  // The provider that was picked before another one is chosen.
  const picked = useRef<string | null>(null);
  useEffect(() => {
    picked.current = type?.id ?? picked.current;
  }, [type]);

  if (created !== null) {
    return <Created id={created} types={types.data} />;
  }
  return type ? <Entries key={type.id} type={type} /> : <Picker types={types} focused={picked.current} />;
}

function Picker({
  types: { data, error, isPending, refetch },
  focused,
}: {
  types: {
    data: ConnectorType[] | undefined;
    error: Error | null;
    isPending: boolean;
    refetch: () => Promise<unknown>;
  };
  focused: string | null;
}) {
  const { t } = usePreferences();
  const { space } = useHere();
  return (
    <div className="create">
      <header className="page-head">
        <div>
          <h1>{t("editor.createTitle")}</h1>
          <p className="muted">{t("editor.pickType")}</p>
        </div>
        <Button onClick={() => navigate(urlOf(space.id))}>{t("common.cancel")}</Button>
      </header>
      {isPending && <SkeletonRows label={t("common.loading")} />}
      {error && !data && (
        <EmptyState icon="warning" title={t("editor.typesError")} text={describeError(error, t)}>
          <Button onClick={() => void refetch()}>{t("common.retry")}</Button>
        </EmptyState>
      )}
      {data && (
        <TypePicker
          types={data}
          focused={focused}
          onPick={({ id }) => navigate(urlOf(space.id, "new", { type: id }))}
        />
      )}
    </div>
  );
}

/**
 * The connector before it exists. Where the redirect URI is known, the client is registered first and everything is entered here.
 * Otherwise the connector is created without credentials, and the redirect URI that it got is registered.
 */
function Entries({ type }: { type: ConnectorType }) {
  const { t } = usePreferences();
  const { space, call } = useHere();
  const queryClient = useQueryClient();
  const guard = useDiscardGuard();
  const redirectUri = type.redirect_uri;

  const create = async (body: ConnectorBody, id: string | undefined) => {
    let created: Connector;
    try {
      created = await createConnector(body, { ...call, id });
    } finally {
      // After a conflict the list misses the connector with this id.
      await queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey, refetchType: "all" });
    }
    guard.clean();
    navigate(urlOf(space.id, "new", { connector: created.id }), { replace: true });
  };
  return (
    <Page
      type={type}
      title={t("setup.title", { type: type.name })}
      action={
        <Button kind="quiet" icon="back" onClick={() => guard.leave(() => navigate(urlOf(space.id, "new")))}>
          {t("editor.changeType")}
        </Button>
      }
    >
      <Notes notes={type.notes} />
      {redirectUri && <Registration type={type} redirectUri={redirectUri} />}
      <Step title={t(redirectUri ? "setup.paste" : "setup.settings")}>
        {!redirectUri && <p className="muted">{t("editor.redirectUriLater")}</p>}
        <ConnectorForm
          type={type}
          submit={t("editor.create")}
          parts={redirectUri ? ["credentials", "basics", "settings"] : ["basics", "settings"]}
          isPage
          guard={guard}
          onSubmit={create}
          onClose={() => guard.leave(() => navigate(urlOf(space.id)))}
        />
      </Step>
      {guard.question}
    </Page>
  );
}

/** The steps after the connector was created. */
function Created({ id, types }: { id: string; types: readonly ConnectorType[] | undefined }) {
  const { t } = usePreferences();
  const { space, call } = useHere();
  const list = useQuery(connectorsQuery(call));
  const connector = list.data?.find((one) => one.id === id);
  if (!list.data && list.error) {
    return (
      <EmptyState icon="warning" title={t("connectors.errorTitle")} text={describeError(list.error, t)}>
        <Button onClick={() => void list.refetch()}>{t("common.retry")}</Button>
      </EmptyState>
    );
  }
  if (!list.data || !types || (!connector && list.isFetching)) {
    return <SkeletonRows label={t("common.loading")} />;
  }
  if (!connector || connector.is_tampered) {
    return (
      <EmptyState icon="warning" title={t("setup.goneTitle")} text={t("setup.goneText")}>
        <Button onClick={() => navigate(urlOf(space.id))}>{t("setup.toList")}</Button>
      </EmptyState>
    );
  }
  const type = types.find((one) => one.id === connector.connector_type_id) ?? typeOfUnknown(connector);
  return connector.is_missing_secrets ? (
    <Credentials type={type} connector={connector} />
  ) : (
    <Done type={type} connector={connector} />
  );
}

/** The redirect URI is registered, then the credentials are entered. */
function Credentials({ type, connector }: { type: GuidedType; connector: Connector }) {
  const { t } = usePreferences();
  const { space, call } = useHere();
  const queryClient = useQueryClient();
  const guard = useDiscardGuard();

  const save = async (body: ConnectorBody) => {
    const refresh = () => queryClient.invalidateQueries({ queryKey: connectorsQuery(call).queryKey });
    let saved: Connector;
    try {
      const { disconnected_users, affected_users } = await previewUpdate(connector.id, body, call);
      if (disconnected_users > 0 || affected_users > 0) {
        // Not a new connector: this page does not ask for the confirmation.
        throw new FormError({ fields: {}, text: t("setup.hasUsers") });
      }
      saved = await updateConnector(connector.id, body, call);
    } catch (error) {
      if (error instanceof GrantryError && error.code === "conflict") {
        await refresh();
        throw new FormError({ fields: {}, text: t("form.editedMeanwhile") });
      }
      throw error;
    }
    if (saved.is_missing_secrets) {
      await refresh();
      throw new FormError({ fields: {}, text: t("connectors.missingSecrets") });
    }
    guard.clean();
    await refresh();
  };
  return (
    <Page type={type} title={t("editor.createdTitle", { name: connector.name })}>
      <p>{t("editor.createdText")}</p>
      {connector.redirect_uri && <Registration type={type} redirectUri={connector.redirect_uri} />}
      <Step title={t("setup.paste")}>
        <ConnectorForm
          type={type}
          existing={connector}
          submit={t("common.save")}
          cancel={t("setup.later")}
          parts={["credentials"]}
          isPage
          guard={guard}
          onSubmit={save}
          onClose={() => guard.leave(() => navigate(urlOf(space.id)))}
        />
      </Step>
      {guard.question}
    </Page>
  );
}

/** The connector is complete: it can be tested and used. */
function Done({ type, connector }: { type: GuidedType; connector: Connector }) {
  const { t } = usePreferences();
  const { space } = useHere();
  return (
    <Page type={type} title={t("editor.createdTitle", { name: connector.name })}>
      <Step title={t("connectors.test")}>
        <ConnectorTest connector={connector} />
      </Step>
      {connector.auth_mode === "per-user" && (
        <Step title={t("setup.connect")}>
          <p className="muted">{t("setup.connectText")}</p>
          <FirstConnection connector={connector} />
        </Step>
      )}
      <div className="form-page__actions">
        <Button kind="primary" onClick={() => navigate(urlOf(space.id))}>
          {t("editor.done")}
        </Button>
      </div>
    </Page>
  );
}

/** A page of the creation. Its heading gets the focus, since the control that led to it is gone. */
function Page({
  type,
  title,
  action,
  children,
}: {
  type: GuidedType;
  title: string;
  action?: ReactNode;
  children: ReactNode;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <div className="create create--guided">
      {action}
      <header className="create__head">
        <ProviderLogo name={type.name} icon={type.setup?.icon} profile={type.id} />
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
      </header>
      {children}
    </div>
  );
}

function Registration({ type, redirectUri }: { type: GuidedType; redirectUri: string }) {
  const { t } = usePreferences();
  return (
    <Step title={type.setup ? t("setup.register", { type: type.name }) : t("setup.registerAny")}>
      <SetupGuide type={type} redirectUri={redirectUri} />
    </Step>
  );
}

function Step({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="panel create__step" aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  );
}
