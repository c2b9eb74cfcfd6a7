import type { Connector } from "@grantry/client";
import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { loadedLater } from "../../ui/loaded-later.tsx";

const ConnectorTest = loadedLater(
  "connector-test",
  async () => (await import("./connector-test.tsx")).ConnectorTest,
);

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
