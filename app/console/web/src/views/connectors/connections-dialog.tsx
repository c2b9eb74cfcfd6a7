import { type Connection, type Connector, setDefaultConnection } from "@grantry/client";
import { ALL_AUTH_STATUS_KEY } from "@grantry/react";
import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogBody } from "../../ui/dialog.tsx";
import { Field } from "../../ui/field.tsx";
import { Notice } from "../../ui/notice.tsx";
import { useToast } from "../../ui/toasts.tsx";
import { ConnectionDialogs, type Mismatch, useConnectionControl } from "./connection-control.tsx";
import { ConnectionActions } from "./row-actions.tsx";
import { RowStatus } from "./row-status.tsx";
import { existing, type ShownConnector, shownStatus } from "./shown-connector.ts";

/** Lists the connections of the user at one connector, adds and ends them, and chooses the default one. */
export function ConnectionsDialog({
  shown: { connector, auth, connections },
  added,
  onAdd,
  mismatch,
  onClose,
}: {
  shown: ShownConnector;
  /** Names that were added in this dialog; the last one asks for the consent at once. */
  added: readonly string[];
  onAdd: (name: string) => void;
  mismatch: Mismatch;
  onClose: () => void;
}) {
  const { t } = usePreferences();
  const listed = existing(connections);
  // The server lists a connection once its flow has started. A name that was added is shown from the first moment.
  const started = [...new Set(added)]
    .filter((name) => listed.every((one) => one.name !== name))
    .map((name): Connection => ({ name, status: "not_connected" }));
  const shown = [...listed, ...started];
  const names = shown.map(({ name }) => name);

  return (
    <Dialog title={t("connectionsDialog.title", { name: connector.name })} onClose={onClose}>
      <DialogBody>
        <p className="muted">{t("connectionsDialog.text")}</p>
        {shown.length === 0 ? (
          <p>{t("connectionsDialog.empty")}</p>
        ) : (
          <ul className="connection-list" aria-label={t("connectionsDialog.list")}>
            {shown.map((connection) => (
              <ConnectionItem
                // A name that is added again asks for the consent again.
                key={`${connection.name} ${added.lastIndexOf(connection.name)}`}
                connector={connector}
                connection={connection}
                isDefault={listed.length > 1 ? auth.default_connection === connection.name : undefined}
                isNew={connection.name === added.at(-1)}
                mismatch={mismatch}
                onAddAccount={onAdd}
              />
            ))}
          </ul>
        )}
        <AddForm taken={names} onAdd={onAdd} />
      </DialogBody>
    </Dialog>
  );
}

function ConnectionItem({
  connector,
  connection,
  isDefault,
  isNew,
  mismatch,
  onAddAccount,
}: {
  connector: Connector;
  connection: Connection;
  /** Whether it is the default one; undefined where there is no choice. */
  isDefault: boolean | undefined;
  /** Whether it was added a moment ago, so that it asks for the consent at once. */
  isNew: boolean;
  mismatch: Mismatch;
  onAddAccount: (name: string) => void;
}) {
  const { name, account } = connection;
  const status = shownStatus(connection);
  const label = `${connector.name} (${name})`;
  const [dialog, setDialog] = useState<"connect" | "disconnect" | null>(isNew ? "connect" : null);
  const control = useConnectionControl(connector, name, mismatch);
  const hasGrant = status !== "not_connected" && status !== "connecting";
  return (
    <li className="connection" data-keeps-focus="">
      <div className="connection__text">
        <strong>{name}</strong>
        {account && <span className="small muted">{account}</span>}
        <RowStatus connector={connector} connection={connection} status={status} connect={control.connect} />
      </div>
      <div className="row-actions">
        {hasGrant && isDefault !== undefined && (
          <DefaultButton connector={connector} name={name} label={label} isDefault={isDefault} />
        )}
        <ConnectionActions
          connector={connector}
          label={label}
          status={status}
          control={control}
          open={setDialog}
        />
      </div>
      <ConnectionDialogs
        connector={connector}
        control={control}
        dialog={dialog}
        mismatch={mismatch}
        onAddAccount={onAddAccount}
        onClose={() => setDialog(null)}
      />
    </li>
  );
}

function DefaultButton({
  connector,
  name,
  label,
  isDefault,
}: {
  connector: Connector;
  name: string;
  label: string;
  isDefault: boolean;
}) {
  const { t } = usePreferences();
  const { call } = useHere();
  const toast = useToast();
  const queryClient = useQueryClient();
  const [busy, setBusy] = useState(false);

  const toggle = async () => {
    setBusy(true);
    try {
      await setDefaultConnection(connector.id, isDefault ? null : name, call);
      await queryClient.invalidateQueries({ queryKey: ALL_AUTH_STATUS_KEY });
      toast("success", isDefault ? t("toast.defaultCleared") : t("toast.defaultSet", { name: label }));
    } catch (error) {
      toast("error", describeError(error, t));
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button
      kind="quiet"
      icon={isDefault ? "check" : "circle"}
      busy={busy}
      aria-pressed={isDefault}
      aria-label={t("connectionsDialog.useByDefault", { name: label })}
      onClick={() => void toggle()}
    >
      {t("connectionsDialog.default")}
    </Button>
  );
}

function AddForm({ taken, onAdd }: { taken: readonly string[]; onAdd: (name: string) => void }) {
  const { t } = usePreferences();
  const [isTaken, setTaken] = useState(false);

  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = String(new FormData(event.currentTarget).get("connection"));
    setTaken(taken.includes(name));
    if (!taken.includes(name)) {
      event.currentTarget.reset();
      onAdd(name);
    }
  };
  return (
    <form className="fieldset connection-form" onSubmit={submit}>
      <h3>{t("connectionsDialog.add")}</h3>
      {isTaken && <Notice kind="error">{t("connectionsDialog.taken")}</Notice>}
      <Field label={t("connectionsDialog.name")} hint={t("connectionsDialog.nameHint")} required>
        {(control) => (
          <input
            {...control}
            name="connection"
            pattern="[a-z0-9._\-]{1,64}"
            maxLength={64}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
          />
        )}
      </Field>
      <Button type="submit" icon="plus">
        {t("connectionsDialog.submit")}
      </Button>
    </form>
  );
}
