import { Writable } from 'node:stream'
import { createLogger, type Logger, type LoggerOptions } from '../src/logger.ts'

/** A sink that takes everything at once, and the lines it took as parsed JSON. */
export class LineSink extends Writable {
  text = ''

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }

  get lines(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .filter((line) => line !== '')
      .map((line): Record<string, unknown> => JSON.parse(line))
  }
}

export interface TestLogger {
  readonly logger: Logger
  readonly sink: LineSink
}

/** A debug logger with a fixed clock on a `LineSink`. */
export function testLogger(options: Partial<LoggerOptions> = {}): TestLogger {
  const sink = new LineSink()
  const logger = createLogger({
    service: 'gateway',
    instanceId: 'i-1',
    level: 'debug',
    stream: sink,
    now: () => Date.UTC(2026, 10, 23, 12, 0, 0, 5),
    ...options,
  })
  return { logger, sink }
}
