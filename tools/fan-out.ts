/**
 * `npm run bench:fan-out [-- --trial one-1000] [-- --server gateway] [-- --rounds 3] [-- --seconds 4]`: what a delivery costs on the real gateway (positions, metrics and
 * Redis on), beside control servers from the same run. Needs a C compiler; all trials take about a quarter of an hour.
 */
import { parseArgs } from 'node:util'
import { type Contestant, prepareGround, startContestant } from './fan-out/contestants.ts'
import { createReport } from './fan-out/report.ts'
import { measure, type Trial } from './fan-out/trial.ts'
import { trials } from './fan-out/trials.ts'

function readArguments() {
  const { values } = parseArgs({
    options: {
      trial: { type: 'string' },
      server: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '4' },
    },
  })
  return values
}

async function main(): Promise<number> {
  const values = readArguments()
  const isWanted = (name: string): boolean => values.server === undefined || name === values.server
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)]
  const chosen = trials
    .filter(({ name }) => values.trial === undefined || name === values.trial)
    .map((trial) => ({ ...trial, contestants: trial.contestants.filter(isWanted) }))
    .filter(({ contestants }) => contestants.length > 0)
  if (!(rounds >= 1) || !(seconds > 0) || chosen.length === 0) {
    console.error(
      `--rounds and --seconds take numbers, --server one that the trial has, --trial one of: ${trials.map(({ name }) => name).join(', ')}`,
    )
    return 2
  }
  const ground = await prepareGround()
  const report = createReport({ rounds, seconds })

  async function play(trial: Trial): Promise<void> {
    const running: Contestant[] = []
    report.begin(trial)
    try {
      for (const name of trial.contestants) running.push(await startContestant(name, ground, trial.rooms > 1))
      for (let round = 0; round < rounds; round++)
        for (const contestant of running)
          report.add(contestant.name, await measure(trial, contestant, { ground, seconds }))
    } finally {
      await Promise.all(running.map(async (contestant) => contestant.stop()))
    }
    report.end()
  }

  try {
    for (const trial of chosen) await play(trial)
  } finally {
    await ground.stop()
  }
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
