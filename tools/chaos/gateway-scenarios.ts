/** Trouble for gateways and for the one Redis behind them. */
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Fleet } from './fleet.ts'
import { type Load, type LoadOptions, startLoad } from './load.ts'
import { between, createRandom, type Random } from './random.ts'
import type { Subscriber } from './raw-subscriber.ts'
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
  /** Subscribers' tokens are verified with a key that each gateway fetches slowly at first. */
  readonly slowTokens?: boolean
  readonly trouble: (stage: Stage) => Promise<void>
}

/** A command for Redis itself, past the link, again and again. */
function askRedisEvery(
  everyMs: number,
  [name, ...args]: readonly [string, ...string[]],
): GatewayScenario['trouble'] {
  return async ({ fleet, goesOn }) => {
    const client = new Redis(fleet.redis.url)
    try {
      while (goesOn()) {
        await client.call(name, ...args)
        await pause(everyMs)
      }
    } finally {
      client.disconnect()
    }
  }
}

/** For everyone to be back, or told. */
const returnDeadlineMs = 30_000

/** Each subscriber went away at least once and is back, with all that it missed. */
async function untilAllResumed({ load, problem }: Pick<Stage, 'load' | 'problem'>): Promise<void> {
  const late = Date.now() + returnDeadlineMs
  const strangers = (): readonly Subscriber[] =>
    load.subscribers.filter(({ track }) => !track.sights.some(({ kind }) => kind === 'recovered'))
  while (strangers().length > 0 && Date.now() < late) await pause(50)
  for (const { track } of strangers()) problem(`${track.name} never resumed`)
}

/** A chat's log keeps 500. */
const floodMessages = 700
const floodDeadlineMs = 30_000

/** More messages than a chat's log keeps go into another channel while the quiet one's subscribers are gone. */
async function floodBeside({ fleet, load, random, durationMs, problem }: Stage): Promise<void> {
  const flood = await startLoad({
    fleet,
    random,
    name: `${load.tableId}-flood`,
    publishers: 4,
    everyMs: 1,
    subscribers: 2,
  })
  await pause(durationMs / 4)
  for (const subscriber of load.subscribers) subscriber.hold()
  const sent = (): number => flood.publishers.reduce((sum, { accepted }) => sum + accepted.length, 0)
  const enough = sent() + floodMessages
  const late = Date.now() + floodDeadlineMs
  while (sent() < enough && Date.now() < late) await pause(50)
  if (sent() < enough) problem(`the flood did not come: ${sent()} messages`)
  for (const subscriber of load.subscribers) subscriber.release()
  await untilAllResumed({ load, problem })
  const { verdict, problems, published } = await flood.finish()
  const { lost, doubled, inverted, falseRecovered, resets } = verdict
  for (const text of problems) problem(`flood: ${text}`)
  if (lost + doubled + inverted + falseRecovered + resets > 0)
    problem(`flood of ${published}: ${JSON.stringify(verdict)}`)
}

/** Resident memory of a process, in MB. */
async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024
}

const slowGrowthMb = 200
const slowDeadlineMs = 15_000

async function stopReading({ fleet, load, goesOn, problem }: Stage): Promise<void> {
  const [slow] = load.raw
  if (!slow) return problem('there is no subscriber')
  const before = await Promise.all(fleet.gateways.map(async ({ pid }) => residentMb(pid)))
  // Counted at the gateway, by any code: who does not read cannot answer a close frame, and is cut after it.
  const closes = (): number => fleet.gateways.reduce((sum, gateway) => sum + gateway.closes, 0)
  const late = Date.now() + slowDeadlineMs
  let closesBefore = closes()
  // Gateways gather their lines: some of what was before may be on their way.
  for (await pause(200); closes() !== closesBefore && Date.now() < late; await pause(200))
    closesBefore = closes()
  const closed = (): boolean => closes() > closesBefore
  slow.pauseReading()
  // The buffers of the network come first: megabytes before the gateway's own queue is full.
  while (!closed() && Date.now() < late) await pause(100)
  if (!closed()) problem(`nobody was closed within ${slowDeadlineMs} ms`)
  slow.resumeReading()
  while (slow.closes.length === 0 && Date.now() < late) await pause(100)
  if (slow.closes.length === 0) problem('another than the slow reader was closed')
  while (goesOn()) await pause(100)
  const after = await Promise.all(fleet.gateways.map(async ({ pid }) => residentMb(pid)))
  const growth = Math.max(...after.map((mb, at) => mb - (before[at] ?? 0)))
  if (growth > slowGrowthMb) problem(`a gateway grew by ${growth.toFixed(0)} MB`)
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

/** Everyone is thrown out at once, and comes back to gateways that must fetch the key before they let anyone in. */
async function authenticateSlowly({ fleet, goesOn, load, problem }: Stage): Promise<void> {
  const { identityProvider } = fleet
  do {
    const before = identityProvider.fetches
    await Promise.all([0, 1].map(async (place) => fleet.end(place, 'SIGKILL')))
    await fleet.refill()
    const late = Date.now() + returnDeadlineMs
    const away = (): boolean => identityProvider.fetches === before
    while (away() && Date.now() < late) await pause(50)
    if (away()) problem('nobody came back to a gateway without the key')
    await pause(500)
  } while (goesOn())
  await untilAllResumed({ load, problem })
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
    name: 'slow-auth',
    about: 'all gateways killed; their successors fetch the key of the tokens slowly while messages go on',
    mayReset: false,
    load: { publishers: 2, everyMs: 10 },
    slowTokens: true,
    trouble: authenticateSlowly,
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
  {
    name: 'quiet-beside-flood',
    about: 'the subscribers of a quiet channel are away while another is flooded past its history',
    mayReset: false,
    load: { publishers: 1, everyMs: 300 },
    trouble: floodBeside,
  },
  {
    name: 'slow-reader',
    about: 'a subscriber stops reading: closed, comes back; the gateway stays small',
    mayReset: false,
    load: { publishers: 1, everyMs: 12, subscribers: 4, textLength: 60_000 },
    trouble: stopReading,
  },
  {
    name: 'pubsub-killed',
    about: 'CLIENT KILL TYPE pubsub every second',
    mayReset: false,
    load: { publishers: 2, everyMs: 10 },
    trouble: askRedisEvery(1000, ['CLIENT', 'KILL', 'TYPE', 'pubsub']),
  },
  {
    name: 'redis-hung',
    about: 'SIGSTOP of Redis for 3 s',
    mayReset: false,
    load: { publishers: 2, everyMs: 10 },
    async trouble({ fleet, goesOn }) {
      while (goesOn()) {
        await pause(1000)
        await fleet.redis.kill('SIGSTOP')
        await pause(3000)
        await fleet.redis.kill('SIGCONT')
      }
    },
  },
  {
    name: 'script-flush',
    about: 'SCRIPT FLUSH every 20 ms',
    mayReset: false,
    load: { publishers: 2, everyMs: 5 },
    trouble: askRedisEvery(20, ['SCRIPT', 'FLUSH']),
  },
  {
    name: 'redis-emptied',
    about: 'Redis killed and started empty: a new epoch, and everyone is told',
    mayReset: true,
    load: { publishers: 2, everyMs: 10 },
    async trouble({ fleet, load, goesOn, problem }) {
      let times = 0
      for (; goesOn(); times++) {
        await pause(1500)
        await fleet.redis.restart()
        await pause(2500)
      }
      const told = ({ track }: Subscriber): number =>
        track.sights.filter(({ kind }) => kind === 'reset').length
      const late = Date.now() + returnDeadlineMs
      const unaware = (): readonly Subscriber[] =>
        load.subscribers.filter((subscriber) => told(subscriber) < times)
      while (unaware().length > 0 && Date.now() < late) await pause(50)
      for (const subscriber of unaware())
        problem(
          `${subscriber.track.name} was told of ${told(subscriber)} resets, Redis was emptied ${times} times`,
        )
    },
  },
]

/** Runs one scenario on a fleet, and leaves the fleet whole. */
export async function runOnFleet(
  { name, load: shape, slowTokens = false, trouble }: GatewayScenario,
  fleet: Fleet,
  { seed, durationMs, say }: ScenarioOptions,
): Promise<Outcome> {
  const random = createRandom(seed)
  const { identityProvider } = fleet
  const load = await startLoad({
    ...shape,
    ...(slowTokens && { tokenOf: (user) => identityProvider.tokenOf(user) }),
    fleet,
    random,
    name: `chaos-${name}-${seed}`,
  })
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
