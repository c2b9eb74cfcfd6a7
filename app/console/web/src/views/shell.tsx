import { navigate, urlOf, type View } from "../lib/location.ts";
import { usePreferences } from "../lib/preferences.tsx";
import { includes, spaceName, useHere } from "../lib/session.tsx";
import { useTitle } from "../lib/title.ts";
import { loadedLater } from "../ui/loaded-later.tsx";
import { Brand } from "./brand.tsx";
import { ConnectorsView } from "./connectors/connectors-view.tsx";
import { UserMenu } from "./user-menu.tsx";

type ShellView = Exclude<View, "login">;

const ConnectionsView = loadedLater(
  "connections-view",
  async () => (await import("./connections/connections-view.tsx")).ConnectionsView,
);

const CreateView = loadedLater(
  "create-view",
  async () => (await import("./editor/create-view.tsx")).CreateView,
);

/** The frame of every view: name, space, sections, user. */
export function Shell({ view }: { view: ShellView }) {
  const { t } = usePreferences();
  const { space } = useHere();
  const isAdmin = includes(space.role, "admin");
  const isAllowed = view === "connectors" || includes(space.role, view === "new" ? "editor" : "admin");
  const shown = isAllowed ? view : "connectors";
  const title = shown === "new" ? t("editor.createTitle") : t(`shell.${shown}`);
  useTitle(`${title} · ${spaceName(space)}`);

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
        {shown === "connections" && <ConnectionsView />}
        {shown === "connectors" && <ConnectorsView />}
        {shown === "new" && <CreateView />}
      </main>
    </>
  );
}

function SectionLink({ view, current }: { view: "connectors" | "connections"; current: ShellView }) {
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
