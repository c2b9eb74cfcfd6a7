import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  resolve: { conditions: ["@grantry/source", "module", "browser", "development|production"] },
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    // Keeps `light-dark()` instead of a copy of every colour.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // A data: URL would require an exception in the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "connect.html"] },
  },
  experimental: {
    // The page is served at `/` and `/s/{space}/`, so it refers to assets from the root; scripts refer to theirs relatively.
    renderBuiltUrl: (filename, { hostType }) => (hostType === "html" ? `/${filename}` : { relative: true }),
  },
  server: {
    proxy: Object.fromEntries(
      ["/api", "/internal", "/s", "/login"].map((path) => [path, "http://127.0.0.1:8080"]),
    ),
  },
});
