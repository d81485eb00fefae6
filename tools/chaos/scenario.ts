import type { Verdict } from './verdict.ts'

/** What one run of a scenario found. */
export interface Outcome extends Verdict {
  /** Accepted messages. */
  readonly published: number
  /** What the scenario demands beyond the counts, where it was not so. */
  readonly problems: readonly string[]
}

export interface ScenarioOptions {
  readonly seed: number
  /** How long faults and load last. */
  readonly durationMs: number
  /** Shows where the scenario is. */
  readonly say: (text: string) => void
}

/** One kind of trouble. */
export interface Scenario {
  readonly name: string
  readonly about: string
  /** The log itself goes: subscribers must be told, so resets are right. */
  readonly mayReset: boolean
}

/** What makes an outcome a failure, in words; empty when all is well. */
export function failuresOf(outcome: Outcome, { mayReset }: Scenario): readonly string[] {
  const { lost, doubled, inverted, falseRecovered, resets, published, problems } = outcome
  const counts = Object.entries({ lost, doubled, inverted, 'false-recovered': falseRecovered })
  return [
    ...counts.flatMap(([name, count]) => (count > 0 ? [`${count} ${name}`] : [])),
    ...(resets > 0 && !mayReset ? [`${resets} resets where nothing was gone`] : []),
    ...(published === 0 ? ['nothing was published'] : []),
    ...problems,
  ]
}
