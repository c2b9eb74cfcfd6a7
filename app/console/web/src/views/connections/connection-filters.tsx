import type { Connector } from "@grantry/client";
import { usePreferences } from "../../lib/preferences.tsx";
import type { GrantsFilter } from "../../lib/queries.ts";
import { Field } from "../../ui/field.tsx";

/** The statuses to filter by. */
const STATUSES = ["connected", "needs_reauthorization", "revoked"] as const;

/** Filters the connections. */
export function ConnectionFilters({
  filter,
  connectors,
  onChange,
}: {
  filter: GrantsFilter;
  connectors: readonly Connector[];
  onChange: (filter: GrantsFilter) => void;
}) {
  const { t } = usePreferences();
  const set = (change: Partial<GrantsFilter>) => onChange({ ...filter, ...change });
  return (
    <search className="filters">
      <Field label={t("connections.user")} required>
        {({ id }) => (
          <input
            id={id}
            type="search"
            placeholder={t("connections.userId")}
            value={filter.user}
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
            value={filter.connector}
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
          <select id={id} value={filter.status} onChange={(event) => set({ status: event.target.value })}>
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
