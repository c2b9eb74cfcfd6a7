import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";

/** The accounts of a flow that ended because of its account. Undefined where the server did not report them. */
export interface Accounts {
  connectedAccount: string | undefined;
  usedAccount: string | undefined;
  /** A name for another connection, with the used account. */
  unusedName: string | undefined;
}

/** Names the accounts after another one was used than the connected one, and offers the ways on. */
export function MismatchDialog({
  label,
  accounts: { connectedAccount: connected, usedAccount: used, unusedName },
  onSelect,
  onAdd,
  onReplace,
  onClose,
}: {
  /** How texts name the connection. */
  label: string;
  accounts: Accounts;
  /** Connects the connected account. */
  onSelect: () => void;
  /** Adds the used account as another connection of this name. */
  onAdd: (name: string) => void;
  /** Connects the used account instead of the connected one. */
  onReplace: () => void;
  onClose: () => void;
}) {
  const { t } = usePreferences();
  return (
    <Dialog title={t("mismatchDialog.title")} onClose={onClose}>
      <DialogBody>
        <p>
          {connected && used
            ? t("mismatchDialog.accounts", { name: label, connected, used })
            : t("mismatchDialog.text", { name: label })}
        </p>
      </DialogBody>
      <DialogActions stacked>
        <Button kind="primary" onClick={onSelect}>
          {connected ? t("mismatchDialog.use", { account: connected }) : t("mismatchDialog.useConnected")}
        </Button>
        {used && unusedName && (
          <Button
            onClick={() => {
              onAdd(unusedName);
              onClose();
            }}
          >
            {t("mismatchDialog.add", { account: used })}
          </Button>
        )}
        <Button onClick={onReplace}>
          {used ? t("mismatchDialog.replace", { account: used }) : t("mismatchDialog.replaceConnected")}
        </Button>
        <Button onClick={onClose}>{t("common.cancel")}</Button>
      </DialogActions>
    </Dialog>
  );
}
