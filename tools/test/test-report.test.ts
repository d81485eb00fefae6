import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { countReport } from '../lib/test-report.ts'
import { takeSummary } from '../lib/turbo-summary.ts'

test('passed, failed and skipped tests are counted apart', () => {
  const assertionResults = ['passed', 'passed', 'failed', 'skipped', 'todo'].map((status, at) => ({
    status,
    fullName: `test ${at}`,
  }))
  expect(countReport({ testResults: [{ name: 'a.test.ts', status: 'failed', assertionResults }] })).toEqual({
    passed: 2,
    failed: 1,
    skipped: 2,
    failures: ['test 2'],
  })
})

test('a file that could not be loaded is one failure: it used to count as nothing', () => {
  const report = { testResults: [{ name: '/x/a.test.ts', status: 'failed', assertionResults: [] }] }
  expect(countReport(report)).toMatchObject({ passed: 0, failed: 1, failures: ['/x/a.test.ts'] })
})

test.each([undefined, {}, [], { testResults: 3 }])(
  'an unreadable report (%o) is a failure, not zero tests',
  (report) => {
    expect(countReport(report).failed).toBe(1)
  },
)

test("turbo's newest summary is read and all are removed; tasks without a command are left out", () => {
  const folder = mkdtempSync(join(tmpdir(), 'gw-runs-'))
  const task = {
    package: '@gw/a',
    task: 'test',
    directory: 'packages/a',
    command: 'vitest',
    cache: { status: 'HIT' },
  }
  writeFileSync(join(folder, '1.json'), JSON.stringify({ tasks: [] }))
  writeFileSync(
    join(folder, '2.json'),
    JSON.stringify({
      tasks: [
        { ...task, execution: { exitCode: 0 } },
        { ...task, package: '@gw/b', cache: { status: 'MISS' } },
        { ...task, command: '<NONEXISTENT>' },
      ],
    }),
  )
  expect(takeSummary(folder)).toEqual([
    { name: '@gw/a', task: 'test', folder: 'packages/a', cached: true, exitCode: 0 },
    { name: '@gw/b', task: 'test', folder: 'packages/a', cached: false, exitCode: undefined },
  ])
  expect(readdirSync(folder)).toEqual([])
  expect(takeSummary(folder)).toEqual([])
  rmSync(folder, { recursive: true })
})
