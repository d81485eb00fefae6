import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createLogger, type Logger } from '../src/logger.ts'

interface BlockedLogger {
  readonly logger: Logger
  /** Nobody reads it until the test does. */
  readonly stream: PassThrough
}

function blockedLogger(maxBufferedBytes: number): BlockedLogger {
  const stream = new PassThrough({ highWaterMark: 1 })
  return { stream, logger: createLogger({ service: 'g', instanceId: 'i', stream, maxBufferedBytes }) }
}

/** Reads the stream until it holds what `done` waits for. */
async function readUntil(stream: PassThrough, done: (text: string) => boolean): Promise<string> {
  let text = ''
  for await (const chunk of stream) {
    text += String(chunk)
    if (done(text)) return text
  }
  return text
}

describe('a sink that is not read', () => {
  it('costs lines beyond the bound, which are counted', () => {
    const { logger, stream } = blockedLogger(2000)
    for (let i = 0; i < 1000; i++) logger.info('event', { i })
    const kept = 1000 - logger.dropped()
    expect(kept).toBeGreaterThan(5)
    expect(kept).toBeLessThan(2000 / 80)
    expect(stream.writableLength + stream.readableLength).toBeLessThanOrEqual(2000 + 200)
  })

  it('says how many lines are missing when it is read again', async () => {
    const { logger, stream } = blockedLogger(2000)
    for (let i = 0; i < 100; i++) logger.info('event', { i })
    const lost = logger.dropped()
    const reading = readUntil(stream, (text) => text.includes('"msg":"after"'))
    expect(await logger.flush(5000)).toBe(true)
    logger.info('after')
    const lines = (await reading)
      .trim()
      .split('\n')
      .map((line): Record<string, unknown> => JSON.parse(line))
    expect(lines.slice(-2)).toMatchObject([
      { level: 'warn', msg: 'log_lines_dropped', count: lost },
      { level: 'info', msg: 'after' },
    ])
    expect(lines).toHaveLength(100 - lost + 2)
    expect(logger.dropped()).toBe(lost)
  })

  it('ends a flush at its deadline', async () => {
    const { logger } = blockedLogger(2000)
    for (let i = 0; i < 3; i++) logger.info('event')
    expect(await logger.flush(20)).toBe(false)
  })

  it('does not end the process when it is closed', async () => {
    const { logger, stream } = blockedLogger(2000)
    logger.info('before')
    const closed = new Promise((resolve) => stream.once('close', resolve))
    stream.destroy(new Error('EPIPE'))
    await closed
    logger.info('after')
    expect(await logger.flush(1000)).toBe(true)
    expect(logger.dropped()).toBe(2)
  })
})

it('never stalls the process behind an unread stdout pipe', async () => {
  const program = `
    import { createLogger } from '@gw/observability/logger'
    const logger = createLogger({ service: 'g', instanceId: 'i', maxBufferedBytes: 100_000 })
    for (let i = 0; i < 20_000; i++) logger.info('event', { i })
    setImmediate(() => process.send({ dropped: logger.dropped() }))
    process.on('message', async () => {
      const flushed = await logger.flush(5000)
      process.send({ flushed, dropped: logger.dropped() }, () => process.disconnect())
    })`
  const child = spawn(
    process.execPath,
    ['--conditions=@gw/source', '--input-type=module', '--eval', program],
    { stdio: ['ignore', 'pipe', 'inherit', 'ipc'], cwd: import.meta.dirname },
  )
  const { stdout } = child
  if (!stdout) throw new Error('no stdout')
  const [{ dropped }] = await once(child, 'message')
  expect(dropped).toBeGreaterThan(15_000)
  // Now read: what was accepted arrives whole, and in order.
  let text = ''
  stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  child.send('flush')
  const [after] = await once(child, 'message')
  await once(child, 'close')
  const numbers = text
    .trim()
    .split('\n')
    .map((line): { i: number } => JSON.parse(line))
    .map(({ i }) => i)
  expect(after).toEqual({ flushed: true, dropped })
  expect(numbers).toEqual(Array.from({ length: 20_000 - dropped }, (_, i) => i))
})
