import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { render, waitFor } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { ICON_OF_PROFILE, PROVIDER_ICONS } from "../src/generated/provider-icons.ts";
import { ProviderLogo } from "../src/ui/provider-logo.tsx";

/** The picture of a provider, after the logos are loaded. */
async function picture(provider: Parameters<typeof ProviderLogo>[0]) {
  const queryClient = new QueryClient();
  const { container } = render(
    <QueryClientProvider client={queryClient}>
      <ProviderLogo {...provider} />
    </QueryClientProvider>,
  );
  await waitFor(() => expect(queryClient.getQueryData(["provider-icons"])).toBeDefined());
  return { container, path: () => container.querySelector("path")?.getAttribute("d") };
}

describe("the logo of a provider", () => {
  it("is the one that is named", async () => {
    const { path } = await picture({ name: "Code", icon: "gitlab", profile: ".github" });
    await waitFor(() => expect(path()).toBe(PROVIDER_ICONS.gitlab));
  });

  it("is that of the profile where none is named", async () => {
    const { path } = await picture({ name: "Code", profile: ".github" });
    await waitFor(() => expect(path()).toBe(PROVIDER_ICONS.github));
  });

  it.each([
    ["without a logo", { name: "amber", profile: ".oauth2" }],
    ["with an unknown logo", { name: "amber", icon: "no-such-logo" }],
    [
      "with the name of a member of every object",
      { name: "amber", icon: "constructor", profile: "toString" },
    ],
    ["without a profile", { name: "amber" }],
  ])("is a letter for a provider %s", async (_, provider) => {
    const { container, path } = await picture(provider);
    expect(path()).toBeUndefined();
    expect(container.textContent).toBe("A");
  });

  it("is hidden from assistive technology, which reads the name beside it", async () => {
    const { container, path } = await picture({ name: "Code", profile: ".github" });
    await waitFor(() => expect(path()).toBeDefined());
    expect(container.firstElementChild?.getAttribute("aria-hidden")).toBe("true");
    expect(container.querySelector("svg")?.getAttribute("focusable")).toBe("false");
    expect(container.querySelector("[style], image, use")).toBeNull();
  });

  it("exists for each profile that names one", () => {
    const missing = Object.values(ICON_OF_PROFILE).filter((icon) => !Object.hasOwn(PROVIDER_ICONS, icon));
    expect(missing).toEqual([]);
    expect(Object.values(PROVIDER_ICONS).every((path) => /^[Mm][\dA-Za-z.,\s-]+$/.test(path))).toBe(true);
  });
});
