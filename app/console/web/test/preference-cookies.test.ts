import { describe, expect, it } from "vitest";
import { preferenceCookies } from "../src/lib/preference-cookies.ts";

describe("the cookies of the preferences", () => {
  it("are valid for a year on the whole site", () => {
    const chosen = { language: "de", theme: "dark" } as const;
    expect(preferenceCookies(chosen, { basePath: "", isSecure: false })).toEqual([
      "grantry_language=de; Path=/; Max-Age=31536000; SameSite=Lax",
      "grantry_theme=dark; Path=/; Max-Age=31536000; SameSite=Lax",
    ]);
  });

  it("are limited to the base path, and to encrypted connections where there are any", () => {
    const chosen = { language: "en", theme: "system" } as const;
    expect(preferenceCookies(chosen, { basePath: "/apps/grantry", isSecure: true })).toEqual([
      "grantry_language=en; Path=/apps/grantry; Max-Age=31536000; SameSite=Lax; Secure",
      "grantry_theme=system; Path=/apps/grantry; Max-Age=31536000; SameSite=Lax; Secure",
    ]);
  });
});
