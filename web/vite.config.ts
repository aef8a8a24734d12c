import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

const server = 'http://127.0.0.1:8080';

// The development server hands everything that is not a page of the application to a running Lectern.
const proxied = ['/api', '/uploads', '/keys', '/media', '/playback', '/.well-known', '/livez', '/readyz'];

export default defineConfig({
  plugins: [react()],
  server: { proxy: Object.fromEntries(proxied.map((path) => [path, { target: server, changeOrigin: false }])) },
  build: {
    target: 'es2022',
    // Nothing inlined as data: URLs, so that a strict Content-Security-Policy holds.
    assetsInlineLimit: 0,
    // The player's chunk (hls.js, Media Chrome) is large and loads only with a lesson.
    chunkSizeWarningLimit: 800,
  },
  test: { environment: 'node', include: ['src/**/*.test.ts'] },
});
