import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LineGate } from '../src/line-gate.ts'
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

/** What a process wrote to its stdout until it ended. */
async function outputOf(program: string): Promise<readonly { readonly msg: string }[]> {
  const child = spawn(
    process.execPath,
    [
      '--conditions=@gw/source',
      '--input-type=module',
      '--eval',
      `import { createLogger } from '@gw/observability/logger'
       const logger = createLogger({ service: 'g', instanceId: 'i' })
       ${program}`,
    ],
    { stdio: ['ignore', 'pipe', 'ignore'], cwd: import.meta.dirname },
  )
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  await once(child, 'close')
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line): { msg: string } => JSON.parse(line))
}

/** Takes all at once. */
function recordingGate(joinMs: number): { gate: LineGate; writes: string[] } {
  const writes: string[] = []
  const stream = new Writable({
    write: (bytes: Buffer, _encoding, done) => {
      writes.push(bytes.toString())
      done()
    },
  })
  return { writes, gate: new LineGate({ target: stream, maxBufferedBytes: 1_000_000, joinMs }) }
}

describe('lines that are gathered', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('are one write for those of a while, and the next for those after it', () => {
    const { gate, writes } = recordingGate(20)
    gate.write('1\n', false)
    vi.advanceTimersByTime(19)
    gate.write('2\n', false)
    expect(writes).toEqual([])
    vi.advanceTimersByTime(1)
    expect(writes).toEqual(['1\n2\n'])
    gate.write('3\n', false)
    vi.advanceTimersByTime(19)
    expect(writes).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect(writes).toEqual(['1\n2\n', '3\n'])
  })

  it('go at once with an urgent one, which begins no new while', () => {
    const { gate, writes } = recordingGate(20)
    gate.write('1\n', false)
    gate.write('2\n', true)
    expect(writes).toEqual(['1\n2\n'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('keep their order, those made later among them', () => {
    const { gate, writes } = recordingGate(20)
    const made: string[] = []
    const make = (line: string) => (): string => {
      made.push(line)
      return line
    }
    gate.later(make('1\n'))
    gate.later(make('2\n'))
    expect(made).toEqual([])
    gate.write('3\n', false)
    gate.later(make('4\n'))
    vi.advanceTimersByTime(20)
    expect(writes).toEqual(['1\n2\n3\n4\n'])
    gate.later(make('5\n'))
    gate.write('6\n', true)
    expect(writes).toEqual(['1\n2\n3\n4\n', '5\n6\n'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('are made, and written, when 500 of them wait to be', () => {
    const { gate, writes } = recordingGate(20)
    for (let i = 0; i < 501; i += 1) gate.later(() => `${i}\n`)
    expect(writes.join('').split('\n')).toHaveLength(501)
    vi.advanceTimersByTime(20)
    expect(writes.join('').split('\n')).toHaveLength(502)
  })

  it('wait no longer when they are many', () => {
    const { gate, writes } = recordingGate(20)
    const line = `${'x'.repeat(999)}\n`
    for (let i = 0; i < 66; i += 1) gate.write(line, false)
    expect(writes).toEqual([line.repeat(66)])
  })
})

describe('the lines for stdout, which are gathered', () => {
  it.each([
    ['is told to exit', 'process.exit(0)'],
    ['dies of an error', "throw new Error('unexpected')"],
    ['has nothing more to do', ''],
  ])('are all there when the process %s', async (_how, end) => {
    const lines = await outputOf(`for (let i = 0; i < 1000; i++) logger.info('event', { i }); ${end}`)
    expect(lines).toEqual(Array.from({ length: 1000 }, (_, i) => expect.objectContaining({ i })))
  })

  it('go at once with a warning, which may be the last thing that the process says', async () => {
    const lines = await outputOf(`
      logger.info('before')
      logger.warn('trouble')
      process.kill(process.pid, 'SIGKILL')`)
    expect(lines.map(({ msg }) => msg)).toEqual(['before', 'trouble'])
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
