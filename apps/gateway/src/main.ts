/** The entry: settings from the environment, then one instance, or several workers and the process that looks after them. */
import cluster from 'node:cluster'
import { ConfigError, loadConfig } from './config.ts'

async function run(): Promise<void> {
  const config = loadConfig(process.env)
  // Only what is needed is loaded: the first of several processes is no gateway itself.
  if (config.WORKERS > 1 && cluster.isPrimary) {
    const { superviseWorkers } = await import('./workers/supervise-workers.ts')
    process.exit(await superviseWorkers(config))
  }
  const { runGateway } = await import('./run-gateway.ts')
  await runGateway(config)
}

run().catch((error: unknown) => {
  const message =
    error instanceof ConfigError ? error.message : String(error instanceof Error ? error.message : error)
  process.stderr.write(`${message}\n`)
  process.exit(1)
})
