/**
 * `npm test [-- turbo's arguments]`: every package's tests on source, against a real Redis, cached by content.
 * `npm test -- --filter=@gw/auth` runs one package, `npm test -- --force` ignores the cache.
 */
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { findChromium } from '@gw/testing/browser'
import { prepareAddon } from './lib/native-addon.ts'
import { run } from './lib/run.ts'
import { prepareRedis } from './lib/test-redis.ts'
import { countReport, noReport, type TestCounts } from './lib/test-report.ts'
import { takeSummary, type TaskResult } from './lib/turbo-summary.ts'
import { readObject, root } from './lib/workspace.ts'

/**
 * Packages tested at once. Each is a vitest with a worker, often a Redis and, for the apps, several servers: one takes
 * about two cores. More at once starves tests that wait for real heartbeats and deadlines.
 */
const concurrency: number = Math.max(1, Math.floor(availableParallelism() / 2))

function counts(task: TaskResult): TestCounts {
  if (task.exitCode === undefined) return noReport('was not run')
  try {
    const result = countReport(readObject(join(root, task.folder, 'reports/vitest.json')))
    // Failed although every test passed: an unhandled error, a broken setup, or a report of an earlier run.
    return task.exitCode !== 0 && result.failed === 0
      ? noReport('failed outside of a test, see above')
      : result
  } catch {
    return noReport('left no report, see above')
  }
}

function describe(task: TaskResult, result: TestCounts): string {
  const parts = [
    `${result.passed} passed`,
    ...(result.failed > 0 ? [`${result.failed} failed`] : []),
    ...(result.skipped > 0 ? [`${result.skipped} skipped`] : []),
  ]
  return `  ${task.name.padEnd(20)} ${parts.join(', ')}${task.cached ? ' (unchanged, from the cache)' : ''}`
}

/** Fetches the browser before tests with bounds in time ask for it. A filtered run may not need one: there they fetch it. */
async function prepareChromium(): Promise<void> {
  const found = findChromium().catch((error: unknown) =>
    error instanceof Error ? error.message : String(error),
  )
  console.log(`Chromium: ${await found}`)
}

async function main(): Promise<number> {
  const started = Date.now()
  try {
    const source = await prepareRedis(process.env, (line) => console.log(line))
    console.log(`Redis: ${source}`)
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    return 1
  }
  console.log(`Native addon: ${await prepareAddon((line) => console.log(line))}`)
  const args = process.argv.slice(2)
  if (!args.some((arg) => arg.startsWith('--filter') || arg.startsWith('-F'))) await prepareChromium()
  const limit = args.some((arg) => arg.startsWith('--concurrency')) ? [] : [`--concurrency=${concurrency}`]
  const fixed = ['--continue', '--summarize', '--output-logs=new-only', '--ui=stream', ...limit]
  const { code } = await run(['turbo', 'run', 'test', ...fixed, ...args], { inherit: true })

  const results = takeSummary(join(root, '.turbo/runs'))
    .filter((task) => task.task === 'test')
    .map((task) => ({ task, result: counts(task) }))
  const passed = results.reduce((sum, { result }) => sum + result.passed, 0)
  const failed = results.reduce((sum, { result }) => sum + result.failed, 0)
  console.log(`\nTests, ${((Date.now() - started) / 1000).toFixed(1)} s:`)
  for (const { task, result } of results) {
    console.log(describe(task, result))
    for (const title of result.failures) console.log(`    ✗ ${title}`)
  }
  const silent = code !== 0 && failed === 0
  if (silent) console.log('  turbo failed before or after the tests, see above')
  console.log(`\n${passed} passed, ${failed + (silent ? 1 : 0)} failed`)
  return code !== 0 || failed > 0 ? 1 : 0
}

process.exitCode = await main()
