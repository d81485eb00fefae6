import { availableParallelism, cpus } from 'node:os'
import type { Outcome, Scenario } from './scenario.ts'

/** One scenario's part of the report. */
export interface ReportLine {
  readonly say: (text: string) => void
  readonly end: (outcome: Outcome, failures: readonly string[]) => void
}

/** Progress while it runs, then one table in Markdown. */
export interface Report {
  begin(scenario: Scenario): ReportLine
  /** Prints the table; returns the exit code. */
  close(): number
}

const columns = [
  'scenario',
  'published',
  'delivered',
  'lost',
  'doubled',
  'inverted',
  'false-recovered',
  'resets',
  'seconds',
]

const row = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`

/** Prints the machine, and what is needed to run the same again. */
export function createReport(options: { readonly seed: number; readonly durationMs: number }): Report {
  const started = Date.now()
  const rows: string[] = []
  let failed = 0
  console.log(
    `${new Date().toISOString()}, ${cpus()[0]?.model ?? process.arch}, ${availableParallelism()} cores, ` +
      `Node ${process.version}, seed ${options.seed}, ${options.durationMs / 1000} s of trouble each`,
  )
  return {
    begin({ name, about, mayReset }) {
      const begun = Date.now()
      console.log(`\n${name}: ${about}`)
      return {
        say: (text) => console.log(`  … ${text}`),
        end(outcome, failures) {
          const { published, delivered, lost, doubled, inverted, falseRecovered, resets } = outcome
          const seconds = ((Date.now() - begun) / 1000).toFixed(1)
          const told = mayReset ? `${resets} (told)` : resets
          rows.push(row([name, published, delivered, lost, doubled, inverted, falseRecovered, told, seconds]))
          if (failures.length > 0) failed++
          console.log(
            failures.length === 0 ? `  ok, ${seconds} s` : failures.map((text) => `  ✗ ${text}`).join('\n'),
          )
        },
      }
    },
    close() {
      console.log(`\n${row(columns)}\n${row(columns.map(() => '---'))}\n${rows.join('\n')}`)
      console.log(`\n${((Date.now() - started) / 1000).toFixed(0)} s`)
      console.log(`\n${rows.length - failed} passed, ${failed} failed`)
      return failed === 0 ? 0 : 1
    },
  }
}
