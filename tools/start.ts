/**
 * `npm start`: the gateway with the demo platform behind it, from source, in memory (or on REDIS_URL).
 * Prints how to try it, then the logs: short lines, or raw JSON with `npm start -- --json`.
 *
 *   signal, npm gone ──▶ stop gateway, then demo ──▶ exit 0      a child dies ──▶ stop the other ──▶ exit 1
 */
import { setTimeout as pause } from 'node:timers/promises'
import { startProcess, type DevProcess } from './lib/dev-process.ts'
import { devSettings, type DevSettings } from './lib/dev-settings.ts'
import { watchLauncher } from './lib/launcher.ts'
import { formatLogLine } from './lib/log-line.ts'
import { describeTaken, freePort, takenPorts } from './lib/ports.ts'
import { welcome } from './lib/welcome.ts'

const readyDeadlineMs = 60_000
const stopDeadlineMs = 8000
const raw = process.argv.includes('--json')
const color = process.stdout.isTTY && process.env['NO_COLOR'] === undefined
const processes: DevProcess[] = []
let stopping: Promise<void> | undefined
let firstSignalAt: number | undefined

// With --json stdout carries nothing but the log lines.
function say(...lines: readonly string[]): void {
  for (const line of lines) (raw ? process.stderr : process.stdout).write(`${line}\n`)
}

/** Idempotent: the first reason counts. */
async function stop(code: number): Promise<void> {
  stopping ??= (async () => {
    // The gateway first: it says goodbye to its clients while its backends still answer.
    const clean: boolean[] = []
    for (const child of processes.toReversed()) clean.push(await child.stop(stopDeadlineMs))
    process.exitCode = code
    if (code === 0) say(clean.every(Boolean) ? 'Stopped.' : 'Stopped; a process had to be forced.')
    process.exit()
  })()
  return stopping
}

function onSignal(): void {
  // One Ctrl-C comes twice: from the terminal and through npm. Later than that, somebody is in a hurry.
  const again = firstSignalAt !== undefined && Date.now() - firstSignalAt > 1000
  firstSignalAt ??= Date.now()
  if (again) for (const child of processes) child.kill()
  if (stopping !== undefined) return
  say('', 'Stopping…')
  void stop(0)
}

async function fail(sentence: string, output: readonly string[] = []): Promise<void> {
  if (stopping !== undefined) return stopping
  say('', sentence, ...output.map((line) => `  | ${line}`))
  return stop(1)
}

function run(name: string, env: NodeJS.ProcessEnv): DevProcess {
  const child = startProcess({
    name,
    entry: `apps/${name}/src/main.ts`,
    env,
    onLine: (line) => {
      process.stdout.write(`${raw ? line : formatLogLine(line, { source: name, color })}\n`)
    },
  })
  processes.push(child)
  return child
}

async function gatewayReady(gateway: DevProcess, settings: DevSettings): Promise<void> {
  const host = settings.host === '0.0.0.0' || settings.host === '::' ? '127.0.0.1' : settings.host
  const ended = gateway.ended.then((how) => {
    throw new Error(`ended with ${how}`)
  })
  const answers = async (): Promise<boolean> =>
    fetch(`http://${host}:${settings.port}/ready`, { signal: AbortSignal.timeout(2000) }).then(
      (response) => response.ok,
      () => false,
    )
  while (!(await Promise.race([answers(), ended]))) await Promise.race([pause(100), ended])
}

/** Waits for a part; says which one failed, how, and what it last wrote. */
async function within(child: DevProcess, ready: Promise<void>): Promise<void> {
  const late = AbortSignal.timeout(readyDeadlineMs)
  const deadline = new Promise<never>((_, reject) => {
    late.addEventListener('abort', () => reject(new Error(`was not ready after ${readyDeadlineMs / 1000} s`)))
  })
  try {
    await Promise.race([ready, deadline])
  } catch (error) {
    const how = error instanceof Error ? error.message : String(error)
    await fail(`The ${child.name} did not start: it ${how}. Its last output:`, child.output)
  }
}

/** Settings whose ports are free; undefined when that can't be had, which was said. */
async function freeSettings(): Promise<DevSettings | undefined> {
  const wanted = devSettings(process.env)
  const taken = await takenPorts(wanted.ports, wanted.host)
  const fixed = taken.filter(({ movable }) => movable !== true)
  if (fixed.length > 0) {
    await fail(fixed.map(describeTaken).join('\n'))
    return undefined
  }
  const moved: Record<string, string> = {}
  for (const { port, variable, owner } of taken) {
    moved[variable] = String(await freePort(wanted.host))
    say(`Port ${port} for ${owner} is in use: it takes ${moved[variable]} instead.`)
  }
  return devSettings({ ...process.env, ...moved })
}

async function main(): Promise<void> {
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal).on('SIGHUP', onSignal)
  // Started by hand in the background, outliving the shell may be meant.
  if (process.env['npm_lifecycle_event'] !== undefined) watchLauncher(onSignal)

  const settings = await freeSettings()
  if (settings === undefined) return

  say('Starting the demo platform and the gateway from source…')
  const demo = run('demo', settings.demoEnv)
  const gateway = run('gateway', settings.gatewayEnv)
  await Promise.all([
    within(
      demo,
      demo.waitForLine((line) => line.includes('demo_ready')),
    ),
    within(gateway, gatewayReady(gateway, settings)),
  ])
  if (stopping !== undefined) return stopping
  say(...welcome({ settings, env: process.env, now: Math.floor(Date.now() / 1000) }))

  const how = await Promise.race(
    processes.map(async (child) => `The ${child.name} stopped: ${await child.ended}.`),
  )
  await fail(`${how} Stopping the rest.`)
}

main().catch(async (error: unknown) => fail(error instanceof Error ? error.message : String(error)))
