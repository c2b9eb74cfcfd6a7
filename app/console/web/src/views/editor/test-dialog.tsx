import type { Connector } from "@grantry/client";
import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { ConnectorTest } from "./connector-test.tsx";

/** Tests a connector of the list. */
export function TestDialog({ connector, onClose }: { connector: Connector; onClose: () => void }) {
  const { t } = usePreferences();
  return (
    <Dialog title={t("test.title", { name: connector.name })} onClose={onClose}>
      <DialogBody>
        <ConnectorTest connector={connector} />
      </DialogBody>
      <DialogActions>
        <Button onClick={onClose}>{t("common.close")}</Button>
      </DialogActions>
    </Dialog>
  );
}
