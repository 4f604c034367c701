import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // For a hang, not for slowness: a machine may be ten times slower than the one it was written on.
    testTimeout: 120_000,
    // Two cores: a worker each; more only makes the large-stream tests wait for one another.
    maxWorkers: 2,
  },
})
