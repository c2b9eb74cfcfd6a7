import type { ConnectorType } from "@grantry/client";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { connectorTypesQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { DialogBody } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Monogram } from "../../ui/monogram.tsx";
import { EmptyState, SkeletonRows } from "../../ui/state.tsx";

/** The search is shown above this number of profiles. */
const MANY = 8;

/** Selects the provider profile of a new connector. `focused` gets the focus: the profile that was picked before. */
export function TypePicker({
  focused,
  onPick,
}: {
  focused: string | undefined;
  onPick: (type: ConnectorType) => void;
}) {
  const { t } = usePreferences();
  const { call } = useHere();
  const [search, setSearch] = useState("");
  const { data, error, isPending, refetch } = useQuery(connectorTypesQuery(call));
  const card = useRef<HTMLButtonElement>(null);
  useEffect(() => card.current?.focus(), []);
  const shown = data?.filter((type) =>
    `${type.name} ${type.id}`.toLowerCase().includes(search.trim().toLowerCase()),
  );

  return (
    <DialogBody>
      <p className="muted">{t("editor.pickType")}</p>
      {isPending && <SkeletonRows label={t("common.loading")} />}
      {error && !data && (
        <EmptyState icon="warning" title={t("editor.typesError")} text={describeError(error, t)}>
          <Button onClick={() => void refetch()}>{t("common.retry")}</Button>
        </EmptyState>
      )}
      {data && data.length > MANY && (
        <div className="search">
          <Icon name="search" />
          <input
            type="search"
            aria-label={t("editor.searchTypes")}
            placeholder={t("editor.searchTypes")}
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
        </div>
      )}
      {shown && shown.length > 0 && (
        <ul className="type-grid">
          {shown.map((type) => (
            <li key={type.id}>
              <button
                type="button"
                ref={type.id === focused ? card : undefined}
                className="type-card"
                onClick={() => onPick(type)}
              >
                <Monogram name={type.name} />
                <span className="type-card__text">
                  <span>{type.name}</span>
                  <span className="small muted">{type.id.replace(/^\./, "")}</span>
                </span>
              </button>
            </li>
          ))}
        </ul>
      )}
      {shown?.length === 0 && <p role="status">{t("editor.noTypes")}</p>}
    </DialogBody>
  );
}
