import * as query from "@tanstack/react-query";
import { expect, it } from "vitest";

declare const process: { env: Record<string, string | undefined> };

it("runs with the version of TanStack Query that the project names", () => {
  // Version 5 replaced this component.
  expect("Hydrate" in query).toBe(process.env.TANSTACK_QUERY === "4");
});
