/**
 * `npm run chaos [-- --short | --ci] [-- --seed 1] [-- --scenario name] [-- --seconds 30]`: real gateways, a real Redis and real trouble, with
 * exact counts at the end. Exit code 1 when anything was lost, doubled, inverted or falsely recovered.
 */
import { parseArgs } from 'node:util'
import { clusterScenarios, runOnCluster } from './chaos/cluster-scenarios.ts'
import { type Fleet, startFleet } from './chaos/fleet.ts'
import { gatewayScenarios, runOnFleet } from './chaos/gateway-scenarios.ts'
import { createReport } from './chaos/report.ts'
import { failuresOf, type Outcome, type Scenario, type ScenarioOptions } from './chaos/scenario.ts'
import { sumOf } from './chaos/verdict.ts'

const shortMs = 2000
const longMs = 30_000

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    ci: { type: 'boolean', default: false },
    seed: { type: 'string' },
    scenario: { type: 'string' },
    seconds: { type: 'string' },
  },
})

/** What a scenario found that broke, e.g. since a server did not start: the others are played all the same. */
function broken(error: unknown): Outcome {
  const why = error instanceof Error ? error.message : String(error)
  return { ...sumOf([]), published: 0, problems: [`could not be played: ${why}`] }
}

async function main(): Promise<number> {
  const seed = Number(values.seed ?? (values.ci ? 1 : Date.now() % 1_000_000))
  const names = [...gatewayScenarios, ...clusterScenarios].map(({ name }) => name)
  const durationMs =
    values.seconds === undefined
      ? values.short || values.ci
        ? shortMs
        : longMs
      : 1000 * Number(values.seconds)
  const isChosen = ({ name }: Scenario): boolean => values.scenario === undefined || name === values.scenario
  const onFleet = gatewayScenarios.filter(isChosen)
  const onCluster = clusterScenarios.filter(isChosen)
  if (!Number.isSafeInteger(seed) || !(durationMs > 0) || onFleet.length + onCluster.length === 0) {
    console.error(
      `--seed takes a whole number, --seconds one above 0, --scenario one of: ${names.join(', ')}`,
    )
    return 2
  }
  const report = createReport({ seed, durationMs })
  const play = async (
    scenario: Scenario,
    run: (options: ScenarioOptions) => Promise<Outcome>,
  ): Promise<{ readonly isBroken: boolean }> => {
    const line = report.begin(scenario)
    let isBroken = false
    const outcome = await run({ seed, durationMs, say: line.say }).catch((error: unknown) => {
      isBroken = true
      return broken(error)
    })
    line.end(outcome, failuresOf(outcome, scenario))
    return { isBroken }
  }
  let fleet: Fleet | undefined
  for (const scenario of onFleet) {
    const { isBroken } = await play(scenario, async (options) => {
      fleet ??= await startFleet()
      return runOnFleet(scenario, fleet, options)
    })
    if (!isBroken) continue
    await fleet?.stop()
    fleet = undefined
  }
  await fleet?.stop()
  for (const scenario of onCluster) await play(scenario, async (options) => runOnCluster(scenario, options))
  return report.close()
}

process.exitCode = await main()
