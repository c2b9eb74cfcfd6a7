import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { PreferencesProvider } from "../src/lib/preferences.tsx";
import { loadedLater } from "../src/ui/loaded-later.tsx";

const Hello = ({ name }: { name: string }) => <p>Hello {name}</p>;

function show(load: () => Promise<typeof Hello>) {
  const Part = loadedLater("hello", load);
  return render(
    <QueryClientProvider client={new QueryClient()}>
      <PreferencesProvider>
        <Part name="Alice" />
      </PreferencesProvider>
    </QueryClientProvider>,
  );
}

describe("a part of the console in a separate script", () => {
  it("is shown after it is loaded", async () => {
    const load = vi.fn(async () => Hello);
    show(load);
    screen.getByRole("status", { name: "Loading" });
    await screen.findByText("Hello Alice");
    expect(load).toHaveBeenCalledTimes(1);
  });

  it("offers to reload the page where the script is gone", async () => {
    show(async () => {
      throw new TypeError("Failed to fetch dynamically imported module");
    });
    await screen.findByRole("heading", { name: "This part of the page could not be loaded" });
    screen.getByRole("button", { name: "Reload the page" });
  });
});
