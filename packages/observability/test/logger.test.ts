import { describe, expect, it } from 'vitest'
import { currentContext, type LineFields, runWithContext, setContext } from '../src/logger.ts'
import { testLogger } from './lines.ts'

describe('a log line', () => {
  it('is one JSON object with the standard fields first and the context after', () => {
    const { logger, sink } = testLogger()
    logger.info('http_request', { route: '/api/a', status: 200 })
    expect(sink.text).toBe(
      '{"level":"info","time":"2026-11-23T12:00:00.005Z","msg":"http_request",' +
        '"service":"gateway","instanceId":"i-1","route":"/api/a","status":200}\n',
    )
  })

  it('carries an error as type, message and stack, and its causes', () => {
    const { logger, sink } = testLogger()
    const cause = Object.assign(new RangeError('inner'), { code: 'ECONNRESET' })
    logger.error('redis_down', { err: new TypeError('outer', { cause }) })
    const [line] = sink.lines
    expect(line?.['err']).toEqual({
      type: 'TypeError',
      message: 'outer',
      stack: expect.stringMatching(/^TypeError: outer\n {4}at /),
      cause: { type: 'RangeError', message: 'inner', code: 'ECONNRESET', stack: expect.any(String) },
    })
  })

  it('says what was so when it was logged, though it is made later', async () => {
    let time = Date.UTC(2026, 10, 23)
    const { logger, sink } = testLogger({ joinMs: 5, now: () => time })
    const context = { at: 1, list: ['a'] }
    const flat = { at: 1 }
    logger.info('flat', flat)
    logger.info('deep', context)
    logger.child({ bound: true }).debug('child', flat)
    flat.at = 2
    context.at = 2
    context.list.push('b')
    time += 1000
    logger.info('last', flat)
    expect(await logger.flush(1000)).toBe(true)
    const at = '2026-11-23T00:00:00.000Z'
    expect(sink.lines).toMatchObject([
      { msg: 'flat', time: at, at: 1 },
      { msg: 'deep', time: at, at: 1, list: ['a'] },
      { msg: 'child', time: at, at: 1, bound: true },
      { msg: 'last', time: '2026-11-23T00:00:01.000Z', at: 2 },
    ])
  })

  it('says of a field that throws when it is read that it cannot be read', () => {
    const { logger, sink } = testLogger()
    const context = Object.defineProperty({ fine: 1 }, 'bad', {
      enumerable: true,
      get: () => {
        throw new Error('getter')
      },
    })
    logger.info('event', context)
    expect(sink.lines).toMatchObject([{ fine: 1, bad: '[unreadable]' }])
  })

  it('of a context that throws when it is called has the error, and costs no other line', async () => {
    const { logger, sink } = testLogger({ joinMs: 5 })
    logger.info('before')
    logger.child({ bound: 1 }).info('thrown', () => {
      throw new RangeError('late')
    })
    logger.info('called', () => ({ requestId: 'r-1' }))
    expect(await logger.flush(1000)).toBe(true)
    expect(sink.lines).toMatchObject([
      { msg: 'before' },
      { msg: 'thrown', err: { type: 'RangeError', message: 'late' } },
      { msg: 'called', requestId: 'r-1' },
    ])
  })

  it('stays one line when the message has line breaks', () => {
    const { logger, sink } = testLogger()
    logger.info('a\nb', { c: 'd\r\ne' })
    expect(sink.text.match(/\n/g)).toHaveLength(1)
    expect(sink.lines[0]).toMatchObject({ msg: 'a\nb', c: 'd\r\ne' })
  })

  it('keeps the standard fields when the context uses their names', () => {
    const { logger, sink } = testLogger()
    logger.warn('event', { level: 'x', time: 1, service: 'other' })
    expect(sink.lines[0]).toMatchObject({
      level: 'warn',
      service: 'gateway',
      context_level: 'x',
      context_time: 1,
      context_service: 'other',
    })
  })

  it('survives values that JSON.stringify does not', () => {
    const { logger, sink } = testLogger()
    const loop: Record<string, unknown> = { big: 2n ** 64n, nan: Number.NaN, when: new Date(0) }
    loop['self'] = loop
    const throwing = Object.defineProperty({}, 'bad', {
      enumerable: true,
      get: () => {
        throw new Error('getter')
      },
    })
    logger.info('event', {
      loop,
      throwing,
      bytes: new Uint8Array(3),
      map: new Map([['k', new Set([1])]]),
      fn: () => 1,
    })
    expect(sink.lines[0]).toMatchObject({
      loop: { big: '18446744073709551616', nan: 'NaN', when: '1970-01-01T00:00:00.000Z', self: '[circular]' },
      throwing: { bad: '[unreadable]' },
      bytes: '[3 bytes]',
      map: { k: [1] },
    })
    expect(sink.lines[0]).not.toHaveProperty('fn')
  })

  it('is bounded, however much is logged', () => {
    const { logger, sink } = testLogger()
    logger.info('long', { value: 'x'.repeat(100_000), many: Array.from({ length: 1000 }, (_, i) => i) })
    logger.info('huge', Object.fromEntries(Array.from({ length: 90 }, (_, i) => [`k${i}`, 'x'.repeat(9000)])))
    const [long, huge] = sink.lines
    expect(String(long?.['value'])).toHaveLength(8193)
    expect(long?.['many']).toHaveLength(101)
    expect(huge).toMatchObject({ msg: 'huge', truncated: true })
    expect(sink.text.length).toBeLessThan(20_000)
  })
})

describe('levels', () => {
  it('writes its level and louder ones', () => {
    const { logger, sink } = testLogger({ level: 'warn' })
    for (const level of ['error', 'warn', 'info', 'debug'] as const) logger[level](level)
    expect(sink.lines.map((line) => line['level'])).toEqual(['error', 'warn'])
  })

  it('changes at runtime for parents and children', () => {
    const { logger, sink } = testLogger({ level: 'error' })
    const child = logger.child({ connectionId: 'c1' })
    child.debug('before')
    child.setLevel('debug')
    child.debug('after')
    logger.debug('parent')
    expect(sink.lines.map((line) => line['msg'])).toEqual(['after', 'parent'])
    expect(logger.level()).toBe('debug')
    expect(logger.isEnabled('debug')).toBe(true)
  })

  it('refuses a level it does not have', () => {
    const { logger } = testLogger()
    // @ts-expect-error not a LogLevel
    expect(() => logger.setLevel('loud')).toThrow(expect.objectContaining({ code: 'invalid_option' }))
    // @ts-expect-error not a LogLevel
    expect(() => testLogger({ level: 'loud' })).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  })
})

describe('context', () => {
  it('puts child fields on each line of the child only', () => {
    const { logger, sink } = testLogger()
    logger.child({ connectionId: 'c1' }).child({ userId: 'u1' }).info('a')
    logger.info('b')
    expect(sink.lines[0]).toMatchObject({ connectionId: 'c1', userId: 'u1' })
    expect(sink.lines[1]).not.toHaveProperty('connectionId')
  })

  it('is not put beside the ids of an event that gives its own', () => {
    const { logger, sink } = testLogger()
    runWithContext({ requestId: 'r1', userId: 'u1', connectionId: 'c1' }, () => {
      logger.info('over', { requestId: 'r2', userId: undefined })
    })
    expect(Object.keys(sink.lines[0] ?? {}).slice(5)).toEqual(['requestId'])
    expect(sink.lines[0]).toMatchObject({ requestId: 'r2' })
  })

  it('follows asynchronous code and keeps two runs apart', async () => {
    const { logger, sink } = testLogger()
    const run = (requestId: string): Promise<void> =>
      runWithContext({ requestId }, async () => {
        await Promise.resolve()
        setContext({ userId: `user-of-${requestId}` })
        await Promise.resolve()
        logger.info('done')
      })
    await Promise.all([run('r1'), run('r2')])
    expect(sink.lines).toEqual([
      expect.objectContaining({ requestId: 'r1', userId: 'user-of-r1' }),
      expect.objectContaining({ requestId: 'r2', userId: 'user-of-r2' }),
    ])
    expect(currentContext()).toBeUndefined()
  })
})

describe('lines of one event', () => {
  const fields: LineFields = { requestId: 'text', route: 'text', traceId: 'id', status: 'id', slow: 'id' }

  it.each([0, 5])('are what `info` writes of the same fields, with %d ms to wait', async (joinMs) => {
    const [quick, usual] = [testLogger({ joinMs }), testLogger({ joinMs })]
    const write = quick.logger.lines('http_request', fields)
    const given: (string | undefined)[] = ['/a', 'token=x', 'é"\\\n\u2028', 'x'.repeat(9000), '', undefined]
    for (const route of [...given, ...given]) {
      write(['r-1', route, 'ab12', 200, undefined])
      usual.logger.info('http_request', { requestId: 'r-1', route, traceId: 'ab12', status: 200 })
    }
    write(['r-2', '/a', undefined, Number.NaN, true])
    usual.logger.info('http_request', { requestId: 'r-2', route: '/a', status: Number.NaN, slow: true })
    await Promise.all([quick.logger.flush(1000), usual.logger.flush(1000)])
    expect(quick.sink.text).toBe(usual.sink.text)
    expect(quick.sink.lines).toHaveLength(2 * given.length + 1)
  })

  it('have the time at which each was written', async () => {
    let time = Date.UTC(2026, 10, 23)
    const { logger, sink } = testLogger({ joinMs: 5, now: () => time })
    const write = logger.lines('event', { requestId: 'text' })
    for (const id of ['a', 'b', 'c']) {
      write([id])
      if (id !== 'a') time += 1000
    }
    await logger.flush(1000)
    expect(sink.lines.map((line) => [line['requestId'], line['time']])).toEqual([
      ['a', '2026-11-23T00:00:00.000Z'],
      ['b', '2026-11-23T00:00:00.000Z'],
      ['c', '2026-11-23T00:00:01.000Z'],
    ])
  })

  it('go by the level, as it is when each is written', () => {
    const { logger, sink } = testLogger({ level: 'warn' })
    const write = logger.lines('event', { requestId: 'text' })
    write(['not'])
    logger.setLevel('info')
    write(['written'])
    expect(sink.lines).toMatchObject([{ level: 'info', requestId: 'written' }])
  })

  it.each<[string, LineFields]>([
    ['a secret', { requestId: 'text', token: 'id' }],
    ['a standard field', { requestId: 'text', level: 'id' }],
  ])('take the long way with the name of %s', (_what, named) => {
    const [quick, usual] = [testLogger(), testLogger()]
    quick.logger.lines('event', named)(['r-1', 'CANARY'])
    const [, name = ''] = Object.keys(named)
    usual.logger.info('event', { requestId: 'r-1', [name]: 'CANARY' })
    expect(quick.sink.text).toBe(usual.sink.text)
  })

  it('of a child have its fields', () => {
    const { logger, sink } = testLogger()
    logger.child({ connectionId: 'c-1' }).lines('event', { requestId: 'text' })(['r-1'])
    expect(sink.lines).toMatchObject([{ msg: 'event', connectionId: 'c-1', requestId: 'r-1' }])
  })
})
