import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    // Two cores: a worker each; more only makes the large-stream tests wait for one another.
    maxWorkers: 2,
  },
})
