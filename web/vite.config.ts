import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  // Relative addresses: the page does not care under which path it is served.
  base: "./",
  build: {
    outDir: "../src/seglens/app/_static",
    emptyOutDir: true,
    target: "es2023",
    // The policy of the page allows no inline module, and one sheet is enough.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
  },
  worker: { format: "es" },
  test: {
    environment: "happy-dom",
    include: ["tests/**/*.test.ts"],
  },
  resolve: process.env.VITEST ? { conditions: ["browser"] } : {},
});
