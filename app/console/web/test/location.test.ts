import { describe, expect, it } from "vitest";
import { placeOf, safeNext, urlOf } from "../src/lib/location.ts";

describe("places", () => {
  it("are in the URL", () => {
    const place = placeOf(new URL("http://grantry.test/s/marketing/?view=connections&q=x"));
    expect(place).toMatchObject({ space: "marketing", view: "connections" });
    expect(placeOf(new URL("http://grantry.test/"))).toMatchObject({ space: "default", view: "connectors" });
    expect(placeOf(new URL("http://grantry.test/login?next=/"))).toMatchObject({ view: "login" });
    expect(placeOf(new URL("http://grantry.test/s/%E0%A4%A/"))).toMatchObject({ space: "%E0%A4%A" });
  });

  it("have short URLs", () => {
    expect(urlOf("default")).toBe("/");
    expect(urlOf("marketing", "connections", { q: "" })).toBe("/s/marketing/?view=connections");
    expect(urlOf("default", "connectors", { q: "a b" })).toBe("/?q=a+b");
  });
});

describe("R33 the target of a log-in", () => {
  it.each(["/", "/s/marketing/?view=connections#x", "/connect/github?flow=f"])("can be %s", (next) => {
    expect(safeNext(next)).toBe(next);
  });

  it("R33 is always on this origin", () => {
    for (const next of [
      null,
      "",
      "https://evil.example/",
      "//evil.example",
      "/\\evil.example",
      "\\\\evil.example",
      "/\t/evil.example",
      "/a/../..//evil.example",
      "javascript:alert(1)",
      "data:text/html,x",
      " /x",
      "\u0000/x",
    ]) {
      expect(safeNext(next), String(next)).toBe("/");
    }
  });
});
