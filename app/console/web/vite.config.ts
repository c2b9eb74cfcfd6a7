import react from "@vitejs/plugin-react";
import { defineConfig, type ProxyOptions } from "vite";

/** The server behind the development server: `grantry demo`, or `grantry serve` on this machine. */
const SERVER = process.env.GRANTRY_SERVER ?? "http://127.0.0.1:8080";

/** The server accepts the address it listens on as the host, so the one that the browser sends is replaced by it. */
const proxied: ProxyOptions = { target: SERVER, changeOrigin: true };

/** The launch page itself comes from here; with a flow, the server redirects to the provider. */
const launchPage: ProxyOptions = {
  ...proxied,
  bypass: ({ url }) => (url?.includes("?flow=") ? undefined : "/connect.html"),
};

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
    // Cookies belong to a host and not to a port. The server of the demo has the same host, and so has its callback.
    host: "127.0.0.1",
    proxy: {
      "^/(s/[^/]+/)?(api|internal)/": proxied,
      "^/(s/[^/]+/)?connect/": launchPage,
    },
  },
});
