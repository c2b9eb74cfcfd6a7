import type { User } from "@grantry/client";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { describeError } from "../../lib/errors.ts";
import { usePreferences } from "../../lib/preferences.tsx";
import { usersQuery } from "../../lib/queries.ts";
import { useHere } from "../../lib/session.tsx";
import { Button } from "../../ui/button.tsx";
import { Dialog, DialogBody } from "../../ui/dialog.tsx";
import { Icon } from "../../ui/icon.tsx";
import { EmptyState, SkeletonRows } from "../../ui/state.tsx";
import { Since } from "../../ui/time.tsx";
import { DeprovisionForm } from "./deprovision-form.tsx";
import { ReinstateForm } from "./reinstate-form.tsx";

/** Removes a user, or reinstates one: first the user, then what happens. */
export function UsersDialog({ onDone, onClose }: { onDone: (text: string) => void; onClose: () => void }) {
  const { t } = usePreferences();
  const [user, setUser] = useState<User | null>(null);
  const back = () => setUser(null);
  const done = (text: string) => {
    onDone(text);
    onClose();
  };

  if (user?.deprovisioned_at) {
    return (
      <Dialog title={t("users.reinstateTitle", { name: user.name || user.id })} onClose={onClose}>
        <ReinstateForm user={user} onDone={done} onBack={back} />
      </Dialog>
    );
  }
  if (user) {
    return (
      <Dialog title={t("users.removeTitle", { name: user.name || user.id })} keepsWork onClose={onClose}>
        <DeprovisionForm user={user} onDone={done} onBack={back} />
      </Dialog>
    );
  }
  return (
    <Dialog title={t("users.title")} onClose={onClose}>
      <UserPicker onPick={setUser} />
    </Dialog>
  );
}

/** More users than this are found by the search only. */
const MOST = 50;

function UserPicker({ onPick }: { onPick: (user: User) => void }) {
  const { t } = usePreferences();
  const { call } = useHere();
  const [search, setSearch] = useState("");
  const { data, error, isPending, refetch } = useQuery(usersQuery(call));
  const words = search.trim().toLowerCase().split(/\s+/);
  const found = data?.filter(({ id, name }) => {
    const text = `${name ?? ""} ${id}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });

  return (
    <DialogBody>
      <p className="muted">{t("users.pick")}</p>
      {isPending && <SkeletonRows label={t("common.loading")} />}
      {error && !data && (
        <EmptyState icon="warning" title={t("users.error")} text={describeError(error, t)}>
          <Button onClick={() => void refetch()}>{t("common.retry")}</Button>
        </EmptyState>
      )}
      {data && (
        <div className="search">
          <Icon name="search" />
          <input
            type="search"
            aria-label={t("users.search")}
            placeholder={t("users.search")}
            value={search}
            autoComplete="off"
            spellCheck={false}
            onChange={(event) => setSearch(event.target.value)}
          />
        </div>
      )}
      {found && found.length > 0 && (
        <ul className="user-list" aria-label={t("users.list")}>
          {found.slice(0, MOST).map((user) => (
            <li key={user.id}>
              <UserCard user={user} onPick={() => onPick(user)} />
            </li>
          ))}
        </ul>
      )}
      {found && <p role="status">{countText(found.length, t)}</p>}
    </DialogBody>
  );
}

function countText(count: number, t: ReturnType<typeof usePreferences>["t"]): string {
  if (count === 0) {
    return t("users.none");
  }
  return count > MOST ? t("users.more", { count, shown: MOST }) : "";
}

function UserCard({ user, onPick }: { user: User; onPick: () => void }) {
  const { t } = usePreferences();
  return (
    <button type="button" className="user-card" onClick={onPick}>
      <Icon name="user" />
      <span className="user-card__text">
        <span>{user.name || user.id}</span>
        {user.name && <span className="small muted">{user.id}</span>}
      </span>
      {user.deprovisioned_at ? (
        <span className="user-card__state">
          {t("users.removed")} <Since value={user.deprovisioned_at} plain />
        </span>
      ) : (
        user.disabled && <span className="user-card__state">{t("users.disabled")}</span>
      )}
    </button>
  );
}
