import { defineConfig } from "vitest/config";

const resolve = { conditions: ["@grantry/source", "module", "browser", "development|production"] };

const project = (name: string, root: string) => ({
  resolve,
  test: {
    name,
    root,
    environment: "jsdom",
    environmentOptions: { jsdom: { url: "http://grantry.test/" } },
    include: ["test/**/*.test.{ts,tsx}"],
    setupFiles: ["../testing/setup.ts"].map((file) => (root === "web" ? file : `../${file}`)),
    restoreMocks: true,
    // Enough for a busy machine.
    testTimeout: 30_000,
  },
});

export default defineConfig({
  test: {
    projects: [
      project("client", "packages/client"),
      project("react", "packages/react"),
      project("web", "web"),
    ],
  },
});
