import { usePreferences } from "../../lib/preferences.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogActions, DialogBody } from "../../ui/dialog.tsx";
import { loadedLater } from "../../ui/loaded-later.tsx";
import { connectionLabel, type ShownConnector } from "./shown-connector.ts";

const TryConnection = loadedLater(
  "try-connection",
  async () => (await import("./try-connection.tsx")).TryConnection,
);

/** Tries the connections of the user at a connector. */
export function TryDialog({ shown, onClose }: { shown: ShownConnector; onClose: () => void }) {
  const { t } = usePreferences();
  const { connector } = shown;
  const connections = triable(shown);
  return (
    <Dialog title={t("try.title", { name: connector.name })} onClose={onClose}>
      <DialogBody>
        <p className="muted">{t("try.text")}</p>
        {connections.map((connection) => (
          <section
            key={connection.name}
            className="test"
            aria-label={connectionLabel(connector.name, connection.name)}
          >
            {connections.length > 1 && <h3>{connection.name}</h3>}
            <TryConnection connector={connector} connection={connection} />
          </section>
        ))}
      </DialogBody>
      <DialogActions>
        <Button onClick={onClose}>{t("common.close")}</Button>
      </DialogActions>
    </Dialog>
  );
}

/** The connections that can be tried. */
export function triable({ connector, connections }: ShownConnector): ShownConnector["connections"] {
  return connector.can_be_tried ? connections.filter(({ status }) => status === "connected") : [];
}
