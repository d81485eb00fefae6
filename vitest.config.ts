import { defineConfig } from 'vitest/config'

// Tests run on source: workspace packages resolve through the private `@gw/source` condition, no build needed.
const conditions = ['@gw/source', 'module', 'node', 'development|production']

export default defineConfig({
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    execArgv: ['--conditions=@gw/source'],
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 60_000,
    reporters: ['default', 'json'],
    outputFile: { json: 'reports/vitest.json' },
    globalSetup: new URL('packages/testing/src/vitest-redis.ts', import.meta.url).pathname,
  },
})
