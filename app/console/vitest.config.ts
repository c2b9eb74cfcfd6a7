import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

// A test reads texts of the server.
const server = { fs: { allow: [fileURLToPath(new URL("../..", import.meta.url))] } };

const resolve = { conditions: ["@grantry/source", "module", "browser", "development|production"] };

/** What differs from another project with the same tests. */
interface Variant {
  alias?: Record<string, string>;
  env?: Record<string, string>;
}

const project = (name: string, root: string, { alias = {}, env = {} }: Variant = {}) => ({
  resolve: { ...resolve, alias },
  server,
  test: {
    name,
    root,
    env,
    environment: "jsdom",
    environmentOptions: { jsdom: { url: "http://grantry.test/" } },
    include: ["test/**/*.test.{ts,tsx}"],
    setupFiles: ["../testing/setup.ts"].map((file) => (root === "web" ? file : `../${file}`)),
    restoreMocks: true,
    // Enough for a busy machine.
    testTimeout: 30_000,
  },
});

/** Tests without a page. */
const nodeProject = (name: string, root: string) => ({
  resolve: { conditions: ["@grantry/source"] },
  test: {
    name,
    root,
    environment: "node",
    include: ["test-node/**/*.test.ts"],
    restoreMocks: true,
    testTimeout: 30_000,
  },
});

export default defineConfig({
  test: {
    projects: [
      project("client", "packages/client"),
      nodeProject("client in Node", "packages/client"),
      project("react", "packages/react"),
      project("react with TanStack Query 4", "packages/react", {
        alias: { "@tanstack/react-query": "tanstack-react-query-4" },
        env: { TANSTACK_QUERY: "4" },
      }),
      project("web", "web"),
      nodeProject("documents", "documents"),
    ],
  },
});
