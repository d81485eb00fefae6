import { isObject } from './workspace.ts'

/** What one package's test run came to. */
export interface TestCounts {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** Full titles of the failed tests, or the path of a file that could not be loaded. */
  readonly failures: readonly string[]
}

/** A package whose tests ended without a usable report counts as one failure. */
export function noReport(reason: string): TestCounts {
  return { passed: 0, failed: 1, skipped: 0, failures: [reason] }
}

/** Counts vitest's JSON report. A file that failed before its first test counts as one failed test. */
export function countReport(report: unknown): TestCounts {
  if (!isObject(report) || !Array.isArray(report['testResults']))
    return noReport('the report is not readable')
  let passed = 0
  let skipped = 0
  const failures: string[] = []
  for (const file of report['testResults'].filter(isObject)) {
    const tests = Array.isArray(file['assertionResults']) ? file['assertionResults'].filter(isObject) : []
    const failed = tests.filter((test) => test['status'] === 'failed')
    passed += tests.filter((test) => test['status'] === 'passed').length
    skipped += tests.length - failed.length - tests.filter((test) => test['status'] === 'passed').length
    failures.push(...failed.map((test) => String(test['fullName'])))
    if (failed.length === 0 && file['status'] === 'failed') failures.push(String(file['name']))
  }
  return { passed, failed: failures.length, skipped, failures }
}
