import type { Connector } from "@grantry/client";
import { usePreferences } from "../../lib/preferences.tsx";
import type { GrantsWanted } from "../../lib/queries.ts";
import { Field } from "../../ui/field.tsx";

/** Statuses a connection can have. */
const STATUSES = ["connected", "needs_reauthorization"] as const;

/** Narrows the connections down. */
export function ConnectionFilters({
  wanted,
  connectors,
  onChange,
}: {
  wanted: GrantsWanted;
  connectors: readonly Connector[];
  onChange: (wanted: GrantsWanted) => void;
}) {
  const { t } = usePreferences();
  const set = (change: Partial<GrantsWanted>) => onChange({ ...wanted, ...change });
  return (
    <search className="filters">
      <Field label={t("connections.person")} required>
        {({ id }) => (
          <input
            id={id}
            type="search"
            placeholder={t("connections.offBoardUser")}
            value={wanted.user}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => set({ user: event.target.value.trim() })}
          />
        )}
      </Field>
      <Field label={t("connections.connector")} required>
        {({ id }) => (
          <select
            id={id}
            value={wanted.connector}
            onChange={(event) => set({ connector: event.target.value })}
          >
            <option value="">{t("connections.any")}</option>
            {connectors.map((connector) => (
              <option key={connector.id} value={connector.id}>
                {connector.name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={t("connections.status")} required>
        {({ id }) => (
          <select id={id} value={wanted.status} onChange={(event) => set({ status: event.target.value })}>
            <option value="">{t("connections.any")}</option>
            {STATUSES.map((status) => (
              <option key={status} value={status}>
                {t(`status.${status}`)}
              </option>
            ))}
          </select>
        )}
      </Field>
    </search>
  );
}
