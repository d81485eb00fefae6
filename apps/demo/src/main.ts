import { loadConfig } from './config.ts'
import { createPlatform, type PlatformEvent } from './platform.ts'

const stopTimeoutMs = 2000
const logIntervalMs = 5000

function log(level: string, msg: string, fields: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ level, time: new Date().toISOString(), msg, ...fields })}\n`)
}

/** One line per kind of event in 5 s: a gateway that is away must not fill the log. */
function createEventLogger(): (event: PlatformEvent) => void {
  const lastLines = new Map<string, { at: number; skipped: number }>()
  return ({ level, what, channel, error }) => {
    const now = Date.now()
    const last = lastLines.get(what) ?? { at: 0, skipped: 0 }
    if (now - last.at < logIntervalMs) {
      last.skipped++
      return
    }
    lastLines.set(what, { at: now, skipped: 0 })
    const message = error instanceof Error ? error.message : String(error)
    log(level, 'demo_event', { what, channel, error: message, skipped: last.skipped })
  }
}

async function main(): Promise<void> {
  const loaded = loadConfig(process.env)
  if (!loaded.ok) {
    log('error', 'invalid_config', { problems: loaded.problems })
    process.exitCode = 1
    return
  }
  const onEvent = createEventLogger()
  const platform = createPlatform({ ...loaded.config, onEvent })
  const stop = (signal: string): void => {
    log('info', 'demo_stopping', { signal })
    setTimeout(() => process.exit(1), stopTimeoutMs).unref()
    void platform.stop().then(() => process.exit(0))
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  try {
    await platform.start()
    log('info', 'demo_ready', { ports: platform.ports() })
  } catch (error) {
    onEvent({ level: 'error', what: 'start', error })
    process.exitCode = 1
  }
}

await main()
