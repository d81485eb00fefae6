import { availableParallelism, cpus } from 'node:os'
import type { Measured, Trial } from './trial.ts'

/** Prints what was measured: every run as it comes, then one table in Markdown for each trial. */
export interface Report {
  begin(trial: Trial): void
  add(contestant: string, measured: Measured): void
  end(): void
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN
const thousands = (value: number): string => `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} k`
const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`

const perCpuSecond = ({ messages, cpuSeconds }: Measured): number => messages / cpuSeconds

const columns = [
  'server',
  'deliveries a CPU-second (min..max)',
  'of rawcast',
  'times ws',
  'us of CPU a delivery',
  'deliveries a second',
  'p50 ms',
  'p99 ms',
  'connects a CPU-second',
  'kB a connection',
]

/** Prints the machine, and what is needed to run the same again. */
export function createReport(options: { readonly rounds: number; readonly seconds: number }): Report {
  const { rounds, seconds } = options
  let current: Trial | undefined
  let measured = new Map<string, Measured[]>()
  console.log(
    `${new Date().toISOString()}, ${cpus()[0]?.model ?? process.arch}, ${availableParallelism()} cores, Node ${process.version}; ` +
      `messages of 200 bytes, ${rounds} rounds of ${seconds} s, servers in turn, medians`,
  )

  function cells(name: string, all: readonly Measured[]): string[] {
    const rates = all.map(perCpuSecond)
    const rate = median(rates)
    const share = (other: string): string => {
      const control = measured.get(other)
      return control === undefined ? '' : (rate / median(control.map(perCpuSecond))).toFixed(2)
    }
    const idleKb = median(all.flatMap(({ idleKb: kb }) => kb ?? []))
    return [
      name,
      `${thousands(rate)} (${thousands(Math.min(...rates))}..${thousands(Math.max(...rates))})`,
      share('rawcast'),
      share('ws'),
      (1e6 / rate).toFixed(2),
      thousands(median(all.map(({ messages, seconds: window }) => messages / window))),
      median(all.map(({ p50Ms }) => p50Ms)).toFixed(1),
      median(all.map(({ p99Ms }) => p99Ms)).toFixed(1),
      thousands((current?.receivers ?? 0) / median(all.map(({ connectCpuSeconds }) => connectCpuSeconds))),
      Number.isNaN(idleKb) ? '' : idleKb.toFixed(1),
    ]
  }

  return {
    begin(trial) {
      current = trial
      measured = new Map()
      console.log(`\n${trial.name}: ${trial.about}`)
    },
    add(contestant, result) {
      measured.set(contestant, [...(measured.get(contestant) ?? []), result])
      const { gaps, doubles, disconnects, p50Ms, p99Ms } = result
      const wrong = gaps + doubles + disconnects
      console.log(
        `  … ${contestant}: ${thousands(perCpuSecond(result))} a CPU-second, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms` +
          (wrong > 0 ? `, ${gaps} gaps, ${doubles} doubles, ${disconnects} disconnects` : ''),
      )
    },
    end() {
      console.log(`\n${row(columns)}\n${row(columns.map(() => '---'))}`)
      for (const [name, all] of measured) console.log(row(cells(name, all)))
    },
  }
}
