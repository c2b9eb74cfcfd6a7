import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { dialog, menuItem, page, renderConsole, rowOf, startCreating } from "./kit.tsx";

const focused = () => document.activeElement;

describe("the menu of a row", () => {
  async function openMenu() {
    const here = renderConsole();
    const row = await rowOf("GitHub");
    const button = within(row).getByRole("button", { name: "More actions for GitHub" });
    button.focus();
    await here.user.keyboard("{ArrowDown}");
    return { ...here, row, button };
  }

  it("is a menu", async () => {
    const { button, row } = await openMenu();
    expect(button.getAttribute("aria-haspopup")).toBe("menu");
    expect(button.getAttribute("aria-expanded")).toBe("true");
    const menu = within(row).getByRole("menu", { hidden: true });
    expect(menu.getAttribute("aria-label")).toBe("More actions for GitHub");
  });

  it("is operated with arrow keys, Home, End and letters", async () => {
    const { user, row } = await openMenu();
    const at = (name: string) => expect(focused()).toBe(menuItem(name, row));
    at("Details");
    for (const [key, name] of [
      ["{ArrowDown}", "Connections"],
      ["{ArrowUp}", "Details"],
      ["{ArrowUp}", "Delete"],
      ["{ArrowDown}", "Details"],
      ["{End}", "Delete"],
      ["{Home}", "Details"],
      ["e", "Edit"],
    ] as const) {
      await user.keyboard(key);
      at(name);
    }
    await new Promise((resolve) => setTimeout(resolve, 550));
    await user.keyboard("d");
    at("Delete");
    await user.keyboard("d");
    at("Details");
  });

  it("is left with Escape, to its button", async () => {
    const { user, button } = await openMenu();
    await user.keyboard("{Escape}");
    expect(focused()).toBe(button);
    expect(button.getAttribute("aria-expanded")).toBe("false");
    await user.keyboard("{ArrowUp}");
    expect(focused()?.textContent).toBe("Delete");
  });

  it("gives the focus to its button before a dialog opens", async () => {
    const { user, button } = await openMenu();
    await user.keyboard("{Enter}");
    dialog().getByText("Redirect URI");
    await user.keyboard("{Escape}");
    await waitFor(() => expect(focused()).toBe(button));
  });
});

describe("the focus", () => {
  it("moves to the heading after a provider is picked, and back to the provider", async () => {
    const { user } = await startCreating(/SharePoint/);
    expect(focused()).toBe(page().getByRole("heading", { name: "New connector: SharePoint" }));
    await user.click(page().getByRole("button", { name: "Choose another provider" }));
    expect(focused()).toBe(page().getByRole("button", { name: /SharePoint/ }));
  });

  it("moves to the heading after a connector is created", async () => {
    const { user } = await startCreating(/OAuth 2/);
    for (const label of ["Authorization URL", "Token URL", "Base URL"]) {
      await user.type(page().getByLabelText(label), "https://id.example/x");
    }
    await user.click(page().getByRole("button", { name: "Create connector" }));
    const heading = await page().findByRole("heading", { name: /is created/ });
    await waitFor(() => expect(focused()).toBe(heading));
  });

  it("stays in the row while a connector is connected", async () => {
    const { server, user } = renderConsole();
    const row = await rowOf("GitHub");
    const inRow = () => waitFor(() => expect(row.contains(focused())).toBe(true));
    within(row).getByRole("button", { name: "Connect GitHub" }).focus();
    await user.keyboard("{Enter}");
    dialog().getByRole("button", { name: "Go to github.com" }).focus();
    await user.keyboard("{Enter}");
    await screen.findByRole("button", { name: "Cancel connecting GitHub" });
    await inRow();
    server.finish("flow-1", "authorized");
    await within(row).findByRole("button", { name: "Disconnect GitHub" }, { timeout: 4000 });
    await inRow();
    expect(focused()).toBe(within(row).getByRole("button", { name: "Disconnect GitHub" }));
  });

  it("does not come back to a row that was left with the pointer", async () => {
    const { server, user } = renderConsole();
    await user.click(await screen.findByRole("button", { name: "Connect GitHub" }));
    await user.click(dialog().getByRole("button", { name: "Go to github.com" }));
    await screen.findByRole("button", { name: "Cancel connecting GitHub" });
    await user.click(screen.getByText("Your accounts at the services of this space."));
    const before = focused();
    server.finish("flow-1", "authorized");
    await screen.findByRole("button", { name: "Disconnect GitHub" }, { timeout: 4000 });
    expect(focused()).toBe(before);
  });

  it("moves to the next row after a deletion, after the last one to the row before", async () => {
    const server = new FakeServer();
    server.connectors = server.connectors.filter(
      ({ id, space_id }) => id !== "reports" && space_id === "default",
    );
    const { user } = renderConsole({ server });
    for (const [name, next] of [
      ["Team wiki", "Warehouse API"],
      ["Warehouse API", "GitHub"],
    ] as const) {
      await user.click(menuItem("Delete", await rowOf(name)));
      await user.click(dialog().getByRole("button", { name: "Delete connector" }));
      await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
      await waitFor(() => expect(focused()).toBe(screen.getByRole("button", { name: next })));
    }
    await user.click(menuItem("Delete", await rowOf("GitHub")));
    await user.click(dialog().getByRole("button", { name: "Delete connector" }));
    await screen.findByText(/Create the first one/);
    await waitFor(() => expect(focused()).toBe(screen.getByRole("heading", { name: "Connectors" })));
  });

  it("stays on a button that is busy", async () => {
    const server = new FakeServer();
    const { user } = renderConsole({ server });
    await user.click(menuItem("Edit", await rowOf("Team wiki")));
    const save = await dialog().findByRole("button", { name: "Save" });
    let open = () => {};
    server.gate = new Promise((resolve) => {
      open = resolve;
    });
    await user.click(save);
    expect(save.getAttribute("aria-disabled")).toBe("true");
    expect(focused()).toBe(save);
    const sent = server.requests.length;
    await user.click(save);
    open();
    await screen.findByText("Team wiki was saved");
    expect(server.requests.slice(sent).filter((one) => one.startsWith("PUT"))).toHaveLength(2);
  });
});
