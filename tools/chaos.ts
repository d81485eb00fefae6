/**
 * `npm run chaos [-- --short] [-- --seed 1] [-- --scenario name]`: real gateways, a real Redis and real trouble, with
 * exact counts at the end. Exit code 1 when anything was lost, doubled, inverted or falsely recovered.
 */
import { parseArgs } from 'node:util'
import { type Fleet, startFleet } from './chaos/fleet.ts'
import { gatewayScenarios, runOnFleet } from './chaos/gateway-scenarios.ts'
import { createReport } from './chaos/report.ts'
import { failuresOf } from './chaos/scenario.ts'

const shortMs = 4000
const longMs = 30_000

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    scenario: { type: 'string' },
  },
})

async function main(): Promise<number> {
  const seed = Number(values.seed)
  const chosen = gatewayScenarios.filter(
    ({ name }) => values.scenario === undefined || name === values.scenario,
  )
  if (!Number.isSafeInteger(seed) || chosen.length === 0) {
    console.error(
      `--seed takes a whole number, --scenario one of: ${gatewayScenarios.map(({ name }) => name).join(', ')}`,
    )
    return 2
  }
  const durationMs = values.short ? shortMs : longMs
  const report = createReport({ seed, durationMs })
  let fleet: Fleet | undefined
  try {
    fleet = await startFleet()
    for (const scenario of chosen) {
      const line = report.begin(scenario)
      const outcome = await runOnFleet(scenario, fleet, { seed, durationMs, say: line.say })
      line.end(outcome, failuresOf(outcome, scenario))
    }
  } finally {
    await fleet?.stop()
  }
  return report.close()
}

process.exitCode = await main()
