import { render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { StrictMode } from "react";
import { expect, vi } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { App } from "../src/app.tsx";

/** A console in jsdom, with a fake server. */
export interface Console {
  server: FakeServer;
  user: ReturnType<typeof userEvent.setup>;
  /** The tabs that were opened: the first URL, and the URLs they were sent to. */
  opened: { url: string; sentTo: string[] }[];
}

/** Renders the console at a URL, signed in as a user; null: signed out. */
export function renderConsole({
  as = "alice",
  path = "/",
  server = new FakeServer(),
}: {
  as?: string | null;
  path?: string;
  server?: FakeServer;
} = {}): Console {
  window.history.replaceState(null, "", path);
  const opened: Console["opened"] = [];
  vi.spyOn(window, "open").mockImplementation((url) => {
    const sentTo: string[] = [];
    opened.push({ url: String(url), sentTo });
    return {
      closed: false,
      close: () => {},
      location: { replace: (to: string) => void sentTo.push(to) },
    } as unknown as Window;
  });
  render(
    <StrictMode>
      <App fetch={server.fetchAs(as)} />
    </StrictMode>,
  );
  return { server, user: userEvent.setup(), opened };
}

/** The row of a connector, by its name. */
export async function rowOf(name: string): Promise<HTMLElement> {
  const button = await screen.findByRole("button", { name });
  const row = button.closest("tr");
  if (!row) {
    throw new Error(`${name} is not in a table`);
  }
  return row;
}

/** The topmost open dialog. */
export function dialog() {
  const all = screen.getAllByRole("dialog");
  const last = all.at(-1);
  if (!last) {
    throw new Error("no dialog is open");
  }
  return within(last);
}

/** The page without its dialogs. */
export function page() {
  return within(screen.getByRole("main"));
}

/** Opens the page that creates a connector of a type. */
export async function startCreating(type: RegExp, server = new FakeServer()): Promise<Console> {
  const here = renderConsole({ server });
  await here.user.click(await screen.findByRole("button", { name: "New connector" }));
  await here.user.click(await page().findByRole("button", { name: type }));
  await page().findByRole("heading", { level: 1, name: /^New connector: / });
  return here;
}

/** An entry of a menu. jsdom does not implement popovers, so every menu counts as closed. */
export function menuItem(name: string, inside?: HTMLElement): HTMLElement {
  return (inside ? within(inside) : screen).getByRole("menuitem", { name, hidden: true });
}

/** Fails with every accessibility violation. Colours are checked in the browser tests. */
export async function expectAccessible(): Promise<void> {
  const { violations } = await axe.run(document, { rules: { "color-contrast": { enabled: false } } });
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" | ")}`)).toEqual(
    [],
  );
}
