import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** Builds the scratch page; --outDir says where to. */
export default defineConfig({
  plugins: [svelte()],
  root: import.meta.dirname,
  base: "./",
  build: { target: "es2023", rollupOptions: { input: `${import.meta.dirname}/scratch.html` } },
  worker: { format: "es" },
});
