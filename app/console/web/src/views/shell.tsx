import { navigate, urlOf } from "../lib/location.ts";
import { usePreferences } from "../lib/preferences.tsx";
import { includes, spaceName, useHere } from "../lib/session.tsx";
import { useTitle } from "../lib/title.ts";
import { loadedLater } from "../ui/loaded-later.tsx";
import { Brand } from "./brand.tsx";
import { ConnectorsView } from "./connectors/connectors-view.tsx";
import { UserMenu } from "./user-menu.tsx";

type ShellView = "connectors" | "connections";

const ConnectionsView = loadedLater(
  "connections-view",
  async () => (await import("./connections/connections-view.tsx")).ConnectionsView,
);

/** The frame of every view: name, space, sections, user. */
export function Shell({ view }: { view: ShellView }) {
  const { t } = usePreferences();
  const { space } = useHere();
  const isAdmin = includes(space.role, "admin");
  const shown = isAdmin ? view : "connectors";
  useTitle(`${t(`shell.${shown}`)} · ${spaceName(space)}`);

  return (
    <>
      <a className="skip-link" href="#content">
        {t("shell.skip")}
      </a>
      <header className="topbar">
        <div className="topbar__inner">
          <Brand />
          <SpaceSwitcher />
          {isAdmin && (
            <nav className="topbar__nav" aria-label={t("shell.navigation")}>
              <SectionLink view="connectors" current={shown} />
              <SectionLink view="connections" current={shown} />
            </nav>
          )}
          <UserMenu />
        </div>
      </header>
      <main id="content" className="content" tabIndex={-1} data-keeps-focus="">
        {shown === "connections" ? <ConnectionsView /> : <ConnectorsView />}
      </main>
    </>
  );
}

function SectionLink({ view, current }: { view: ShellView; current: ShellView }) {
  const { t } = usePreferences();
  const { space } = useHere();
  const url = urlOf(space.id, view);
  return (
    <a
      href={url}
      className="topbar__link"
      aria-current={view === current ? "page" : undefined}
      onClick={(event) => {
        if (!event.metaKey && !event.ctrlKey && !event.shiftKey) {
          event.preventDefault();
          navigate(url);
        }
      }}
    >
      {t(`shell.${view}`)}
    </a>
  );
}

function SpaceSwitcher() {
  const { t } = usePreferences();
  const { session, space } = useHere();
  return (
    <select
      className="space-switcher"
      aria-label={t("shell.space")}
      value={space.id}
      onChange={(event) => navigate(urlOf(event.target.value))}
    >
      {session.spaces.map((other) => (
        <option key={other.id} value={other.id}>
          {spaceName(other)}
        </option>
      ))}
    </select>
  );
}
