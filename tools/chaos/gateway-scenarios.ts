/** Trouble for gateways and for the one Redis behind them. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Fleet } from './fleet.ts'
import { type Load, type LoadOptions, startLoad } from './load.ts'
import { between, createRandom, type Random } from './random.ts'
import type { Outcome, Scenario, ScenarioOptions } from './scenario.ts'

/** Where a scenario makes its trouble. */
interface Stage {
  readonly fleet: Fleet
  readonly load: Load
  readonly random: Random
  readonly durationMs: number
  /** False when the time is over. */
  readonly goesOn: () => boolean
  readonly problem: (text: string) => void
}

/** A scenario on two gateways. */
export interface GatewayScenario extends Scenario {
  readonly load: Pick<LoadOptions, 'publishers' | 'everyMs' | 'subscribers' | 'textLength'>
  readonly trouble: (stage: Stage) => Promise<void>
}

/** One gateway after the other ends and comes back. */
function endGateways(signal: 'SIGKILL' | 'SIGTERM'): GatewayScenario['trouble'] {
  return async ({ fleet, random, goesOn }) => {
    for (let at = 0; goesOn(); at++) {
      await pause(between(random, 500, 1000))
      await fleet.end(at % 2, signal)
      await pause(between(random, 500, 1500))
      await fleet.refill()
    }
  }
}

/** In the order of the usual run. */
export const gatewayScenarios: readonly GatewayScenario[] = [
  {
    name: 'gateway-sigkill',
    about: 'a gateway is killed under load, its clients go to the other',
    mayReset: false,
    load: { publishers: 2, everyMs: 10 },
    trouble: endGateways('SIGKILL'),
  },
  {
    name: 'gateway-sigterm',
    about: 'a gateway is told to stop under load',
    mayReset: false,
    load: { publishers: 2, everyMs: 10 },
    trouble: endGateways('SIGTERM'),
  },
  {
    name: 'two-publishers',
    about: 'two publishers into one channel, through both gateways',
    mayReset: false,
    load: { publishers: 2, everyMs: 1 },
    trouble: ({ durationMs }) => pause(durationMs),
  },
  {
    name: 'three-publishers',
    about: 'three publishers into one channel, through both gateways',
    mayReset: false,
    load: { publishers: 3, everyMs: 1 },
    trouble: ({ durationMs }) => pause(durationMs),
  },
  {
    name: 'redis-link-cut',
    about: 'all connections to Redis cut every 0.7 to 1.3 s',
    mayReset: false,
    load: { publishers: 2, everyMs: 10 },
    async trouble({ fleet, random, goesOn }) {
      while (goesOn()) {
        await pause(between(random, 700, 1300))
        fleet.link.drop()
      }
    },
  },
]

/** Runs one scenario on a fleet, and leaves the fleet whole. */
export async function runOnFleet(
  { name, load: shape, trouble }: GatewayScenario,
  fleet: Fleet,
  { seed, durationMs, say }: ScenarioOptions,
): Promise<Outcome> {
  const random = createRandom(seed)
  const load = await startLoad({ ...shape, fleet, random, name: `chaos-${name}-${seed}` })
  const problems: string[] = []
  const end = Date.now() + durationMs
  const progress = setInterval(() => {
    const published = load.publishers.reduce((sum, { accepted }) => sum + accepted.length, 0)
    const retries = load.publishers.reduce((sum, publisher) => sum + publisher.retries, 0)
    say(
      `${published} published, ${retries} retries, ${Math.max(0, Math.round((end - Date.now()) / 1000))} s left`,
    )
  }, 1000)
  try {
    const goesOn = (): boolean => Date.now() < end
    await trouble({ fleet, load, random, durationMs, goesOn, problem: (text) => void problems.push(text) })
  } catch (error) {
    problems.push(`the trouble failed: ${String(error)}`)
  }
  fleet.link.restore()
  await fleet.refill()
  const { published, verdict, problems: ofLoad } = await load.finish().finally(() => clearInterval(progress))
  return { ...verdict, published, problems: [...problems, ...ofLoad] }
}
