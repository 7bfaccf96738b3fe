// Builds into api/static: hashed assets plus manifest.json, which the server's asset() helper reads.
import { defineConfig } from "vite";

export default defineConfig({
  base: "/static/",
  publicDir: false,
  build: {
    outDir: "../api/static",
    emptyOutDir: true,
    manifest: "manifest.json",
    target: "es2022",
    modulePreload: false,
    assetsInlineLimit: 0, // data: addresses would need a hole in the content security policy
    rolldownOptions: { input: { console: "src/console.ts", chart: "src/chart.ts" } },
  },
});
