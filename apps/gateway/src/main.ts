/** One gateway process: settings from the environment, start, signals, exit code. */
import { randomUUID } from 'node:crypto'
import { createLogger } from '@gw/observability/logger'
import { ConfigError, loadConfig } from './config.ts'
import { createGateway } from './server.ts'

async function run(): Promise<void> {
  const config = loadConfig(process.env)
  const instanceId = config.INSTANCE_ID ?? randomUUID()
  const logger = createLogger({ service: 'gateway', instanceId, level: config.LOG_LEVEL })
  const gateway = createGateway({ config, instanceId, logger })
  let stopping = false

  const stop = (signal: string): void => {
    // A second signal means now.
    if (stopping) process.exit(1)
    stopping = true
    logger.info('stopping', { signal })
    gateway.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        logger.error('stop_failed', { err: error })
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('unhandledRejection', (error) => logger.error('unhandled_rejection', { err: error }))

  const ports = await gateway.start()
  logger.info('started', {
    ...ports,
    store: config.REDIS_URL === undefined ? 'memory' : 'redis',
    node: process.version,
  })
}

run().catch((error: unknown) => {
  const message =
    error instanceof ConfigError ? error.message : String(error instanceof Error ? error.message : error)
  process.stderr.write(`${message}\n`)
  process.exit(1)
})
