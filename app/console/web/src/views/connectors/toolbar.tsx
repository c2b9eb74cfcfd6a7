import { useId } from "react";
import { usePreferences } from "../../lib/preferences.tsx";
import { Icon } from "../../ui/icon.tsx";
import { FILTERS, type Filter, passes, type ShownConnector } from "./shown-connector.ts";

const LABEL = {
  all: "connectors.filterAll",
  connected: "connectors.filterConnected",
  attention: "connectors.filterAttention",
  not_connected: "connectors.filterNotConnected",
} as const;

/** Props of {@link Toolbar}. */
export interface ToolbarProps {
  all: readonly ShownConnector[];
  search: string;
  filter: Filter;
  onChange: (change: { q?: string; status?: Filter }) => void;
}

/** Search and filter. */
export function Toolbar({ all, search, filter, onChange }: ToolbarProps) {
  const { t } = usePreferences();
  const name = useId();
  return (
    <div className="toolbar">
      <div className="search">
        <Icon name="search" />
        <input
          type="search"
          aria-label={t("connectors.search")}
          placeholder={t("connectors.search")}
          value={search}
          onChange={(event) => onChange({ q: event.target.value })}
        />
      </div>
      <fieldset className="segments">
        <legend className="visually-hidden">{t("connectors.filter")}</legend>
        {FILTERS.map((one) => (
          <label key={one} className="segments__segment">
            <input
              type="radio"
              name={name}
              className="visually-hidden"
              checked={one === filter}
              onChange={() => onChange({ status: one })}
            />
            {t(LABEL[one])}
            <span className="segments__count">{all.filter((shown) => passes(shown, one)).length}</span>
          </label>
        ))}
      </fieldset>
    </div>
  );
}
