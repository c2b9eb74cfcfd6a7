import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { conditions: ["@grantry/source"] },
  test: {
    name: "e2e",
    root: fileURLToPath(new URL(".", import.meta.url)),
    include: ["specs/**/*.test.ts"],
    // The fake server has only what the console uses.
    exclude: process.env.E2E_SITE === "fake" ? ["specs/existing-front-end.test.ts"] : [],
    environment: "node",
    // A browser and a server for each. They mostly wait for each other, so more than one is useful also with two cores.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
