/**
 * The way in, for the image's entry (`main.ts`) and for an entry of one's own with rules of one's own: settings from the
 * environment, then one instance, or several workers and the process that looks after them.
 */
import cluster from 'node:cluster'
import { ConfigError, loadConfig } from './config.ts'
import type { GatewayHooks } from './server.ts'

export type { GatewayHooks } from './server.ts'
export type { TableRule } from './services/table-access.ts'

async function start(env: Readonly<Record<string, string | undefined>>, hooks: GatewayHooks): Promise<void> {
  const config = loadConfig(env)
  // Only what is needed is loaded: the first of several processes is no gateway itself.
  if (config.WORKERS > 1 && cluster.isPrimary) {
    const { superviseWorkers } = await import('./workers/supervise-workers.ts')
    process.exit(await superviseWorkers(config))
  }
  const { runGateway } = await import('./run-gateway.ts')
  await runGateway(config, hooks)
}

/**
 * Starts a gateway with the settings of `env` and resolves when it listens; with `WORKERS` above 1 the process that was started
 * runs again in each worker, so call it first and always alike. Signals end it. Ends the process with 1 when it cannot
 * start, and says why on stderr.
 */
export async function startGateway(
  env: Readonly<Record<string, string | undefined>>,
  hooks: GatewayHooks = {},
): Promise<void> {
  try {
    await start(env, hooks)
  } catch (error) {
    const message =
      error instanceof ConfigError ? error.message : String(error instanceof Error ? error.message : error)
    process.stderr.write(`${message}\n`)
    process.exit(1)
  }
}
