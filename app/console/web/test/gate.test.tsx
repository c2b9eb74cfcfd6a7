import { screen, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { FakeServer } from "../../testing/fake-server.ts";
import { USERS } from "../../testing/seed.ts";
import { expectAccessible, renderConsole, rowOf } from "./kit.tsx";

async function signIn({ user }: ReturnType<typeof renderConsole>, name: string, password = name) {
  await user.type(await screen.findByLabelText("User name"), name);
  await user.type(screen.getByLabelText("Password"), password);
  await user.click(screen.getByRole("button", { name: "Sign in" }));
}

describe("log-in", () => {
  it("accepts the right password only", async () => {
    const here = renderConsole({ as: null });
    await signIn(here, "alice", "wrong");
    expect(await screen.findByRole("alert")).toHaveProperty(
      "textContent",
      "The user name or the password is wrong.",
    );
    await expectAccessible();
    await here.user.clear(screen.getByLabelText("User name"));
    await here.user.clear(screen.getByLabelText("Password"));
    await signIn(here, "alice");
    await rowOf("GitHub");
  });

  it("R63 keeps the password out of the document", async () => {
    const here = renderConsole({ as: null });
    await signIn(here, "alice", "PASSWORD-CANARY");
    await screen.findByRole("alert");
    expect(document.documentElement.outerHTML).not.toContain("PASSWORD-CANARY");
  });

  it("continues to the requested page", async () => {
    renderConsole({ as: "alice", path: "/login?next=%2Fs%2Fmarketing%2F" });
    await rowOf("GitHub (campaigns)");
    expect(window.location.pathname).toBe("/s/marketing/");
  });

  it("is shown when the session ends", async () => {
    const { server, user } = renderConsole();
    await rowOf("GitHub");
    server.faults.set("POST /internal/actions/connectors/_me", [401, "not_signed_in"]);
    server.faults.set("GET /api/session", [401, "not_signed_in"]);
    window.dispatchEvent(new Event("visibilitychange"));
    expect(await screen.findByLabelText("Password")).toBeTruthy();
    expect(user).toBeTruthy();
  });

  it("shows a hint where the host signs users in", async () => {
    const here = renderConsole({ as: null });
    here.server.faults.set("POST /api/session", [404, "not_found"]);
    await signIn(here, "alice");
    await screen.findByRole("heading", { name: "You are not signed in" });
  });

  it("shows no form where the server says that the host signs users in", async () => {
    const server = new FakeServer();
    server.faults.set("GET /api/session", [401, "not_signed_in", { identity_mode: "host" }]);
    renderConsole({ as: null, server });
    await screen.findByRole("heading", { name: "You are not signed in" });
    expect(screen.queryByLabelText("Password")).toBeNull();
    await expectAccessible();
  });

  it("is shown after a sign out", async () => {
    const { user } = renderConsole();
    await rowOf("GitHub");
    await user.click(screen.getByRole("button", { name: "Sign out", hidden: true }));
    await screen.findByLabelText("Password");
  });
});

describe("spaces", () => {
  it("change without loading the page", async () => {
    const { user } = renderConsole();
    await rowOf("GitHub");
    await user.selectOptions(screen.getByLabelText("Space"), "Marketing");
    await rowOf("GitHub (campaigns)");
    expect(window.location.pathname).toBe("/s/marketing/");
    expect(screen.queryByText("Team wiki")).toBeNull();
  });

  it("without access are not found", async () => {
    const { user } = renderConsole({ path: "/s/secret/" });
    await screen.findByRole("heading", { name: "Space not found" });
    await expectAccessible();
    await user.click(screen.getByRole("button", { name: "Go to Marketing" }));
    await rowOf("GitHub (campaigns)");
  });

  it("start with the first one where the user has no default space", async () => {
    const dora = USERS.alice;
    if (!dora) {
      throw new Error("no alice");
    }
    USERS.dora = { ...dora, username: "dora", spaces: dora.spaces.filter(({ id }) => id === "marketing") };
    renderConsole({ as: "dora" });
    await rowOf("GitHub (campaigns)");
    expect(window.location.pathname).toBe("/s/marketing/");
    USERS.eve = { ...dora, username: "eve", spaces: [] };
  });

  it("can be empty", async () => {
    renderConsole({ as: "eve" });
    await screen.findByRole("heading", { name: "You have no space yet" });
  });
});

describe("preferences", () => {
  it("change language and colours at once, and are stored", async () => {
    const { user } = renderConsole();
    await rowOf("GitHub");
    await user.selectOptions(screen.getByLabelText("Language"), "Deutsch");
    await screen.findByRole("heading", { name: "Konnektoren" });
    expect(document.documentElement.lang).toBe("de");
    await user.selectOptions(screen.getByLabelText("Darstellung"), "Dunkel");
    expect(document.documentElement.dataset.theme).toBe("dark");
    expect({ ...localStorage }).toMatchObject({ "grantry.language": "de", "grantry.theme": "dark" });
    expect(document.cookie.split("; ")).toEqual(
      expect.arrayContaining(["grantry_language=de", "grantry_theme=dark"]),
    );
    await expectAccessible();
  });
});

describe("an unreachable server", () => {
  it("is reported, with a retry", async () => {
    const server = new FakeServer();
    server.faults.set("GET /api/session", [403, "wrong_host"]);
    const { user } = renderConsole({ server });
    await screen.findByText("The server is not set up for this address.");
    server.faults.clear();
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => rowOf("GitHub"));
  });
});
