import { createMemoryBroker } from '@gw/pubsub'
import { describe, expect, test } from 'vitest'
import {
  type ChatEvent,
  type ChatOptions,
  ChatError,
  createChat,
  MemoryChatStore,
  type Member,
} from '@gw/chat'

const alice: Member = { roomId: 'T1', userId: 'alice' }

interface Stage {
  readonly chat: ReturnType<typeof createChat>
  readonly events: ChatEvent[]
  /** The questions asked, in order. */
  readonly asked: string[]
  /** What was published, in order. */
  published: () => Promise<unknown[]>
  /** ms since 1970 as the chat sees it. */
  nowMs: number
}

function stageWith(options: Partial<ChatOptions> = {}): Stage {
  const broker = createMemoryBroker()
  const events: ChatEvent[] = []
  const asked: string[] = []
  let ids = 0
  const stage: Stage = {
    events,
    asked,
    nowMs: Date.UTC(2026, 0, 1),
    chat: createChat({
      store: new MemoryChatStore({ now: () => stage.nowMs }),
      publisher: broker,
      isMember: async () => asked.push('member') > 0,
      isMuted: async () => asked.push('muted') < 0,
      nicknameOf: async (userId) => (asked.push('nickname') > 0 ? userId.toUpperCase() : undefined),
      now: () => stage.nowMs,
      newId: () => `m${++ids}`,
      onEvent: (event) => events.push(event),
      ...options,
    }),
    published: async () => {
      const { messages } = await broker.read('chat:T1')
      return messages.map(({ data }): unknown => JSON.parse(data.toString()))
    },
  }
  return stage
}

const fail = async (): Promise<never> => {
  throw new Error('down')
}

const line = { id: 'm1', userId: 'alice', username: 'ALICE', text: 'hi', ts: '2026-01-01T00:00:00.000Z' }

describe('sendMessage', () => {
  test('stores, publishes and answers with the message and its position', async () => {
    const { chat, published, events } = stageWith()
    const result = await chat.sendMessage({ ...alice, text: '  hi\n' })
    expect(result).toEqual({
      ok: true,
      message: line,
      position: { epoch: expect.any(String), seq: 1 },
      duplicate: false,
    })
    expect(await published()).toEqual([{ type: 'message', roomId: 'T1', message: line }])
    expect(await chat.getHistory({ roomId: 'T1' })).toMatchObject({ ok: true, messages: [line] })
    expect(events).toEqual([{ type: 'accepted', roomId: 'T1', userId: 'alice', duplicate: false }])
  })

  test('has stored the message before it is published', async () => {
    const store = new MemoryChatStore()
    const broker = createMemoryBroker()
    const storedAtPublish: number[] = []
    const { chat } = stageWith({
      store,
      publisher: {
        publish: async (channel, data, options) => {
          storedAtPublish.push((await store.read({ roomId: 'T1', limit: 9 })).messages.length)
          return await broker.publish(channel, data, options)
        },
      },
    })
    await chat.sendMessage({ ...alice, text: 'hi' })
    expect(storedAtPublish).toEqual([1])
  })

  test.each([
    ['', 'empty_message'],
    [' \n\t ', 'empty_message'],
    ['\u200B\u2060\u0000', 'empty_message'],
    ['x'.repeat(501), 'message_too_long'],
    ['🂡'.repeat(251), 'message_too_long'],
  ])('refuses %j before anyone is asked', async (text, reason) => {
    const { chat, asked, events } = stageWith()
    expect(await chat.sendMessage({ ...alice, text })).toEqual({ ok: false, reason, retryable: false })
    expect(asked).toEqual([])
    expect(events).toEqual([{ type: 'refused', roomId: 'T1', userId: 'alice', reason }])
  })

  test('measures the length after trimming, in UTF-16 units', async () => {
    const { chat } = stageWith()
    expect(await chat.sendMessage({ ...alice, text: `  ${'🂡'.repeat(250)}  ` })).toMatchObject({ ok: true })
  })

  test('asks in the order rate, member, muted, filter, nickname and stops at the first no', async () => {
    const order = ['rate', 'member', 'muted', 'filter', 'nickname']
    const refusals = ['rate_limited', 'not_member', 'muted', 'blocked']
    for (let at = 0; at <= refusals.length; at++) {
      const asked: string[] = []
      const ask = (check: string): boolean => asked.push(check) - 1 < at
      const { chat } = stageWith({
        checkRate: async () => ({ allowed: ask('rate'), retryAfterMs: 300 }),
        isMember: async () => ask('member'),
        isMuted: async () => !ask('muted'),
        filter: async () => ({ allowed: ask('filter') }),
        nicknameOf: async () => (ask('nickname') ? 'A' : 'A'),
      })
      const result = await chat.sendMessage({ ...alice, text: 'hi' })
      expect(result.ok ? 'sent' : result.reason).toBe(refusals[at] ?? 'sent')
      expect(asked).toEqual(order.slice(0, at + 1))
    }
  })

  test('hands on when to try again', async () => {
    const { chat } = stageWith({ checkRate: async () => ({ allowed: false, retryAfterMs: 300 }) })
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toEqual({
      ok: false,
      reason: 'rate_limited',
      retryable: true,
      retryAfterMs: 300,
    })
  })

  test('replaces half surrogate pairs, which UTF-8 cannot carry', async () => {
    const { chat } = stageWith()
    const result = await chat.sendMessage({ ...alice, text: 'a\uD83Cb 🂡' })
    expect(result).toMatchObject({ message: { text: 'a\uFFFDb 🂡' } })
  })

  test('lets the filter mask a text, and blocks what it leaves empty or too long', async () => {
    const filter: ChatOptions['filter'] = async ({ text }) => ({
      allowed: true,
      text: text.replaceAll('x', ''),
    })
    const { chat } = stageWith({ filter })
    expect(await chat.sendMessage({ ...alice, text: 'axb' })).toMatchObject({ message: { text: 'ab' } })
    expect(await chat.sendMessage({ ...alice, text: 'xx' })).toMatchObject({ reason: 'blocked' })
    const long = stageWith({ filter: async () => ({ allowed: true, text: 'y'.repeat(501) }) })
    expect(await long.chat.sendMessage({ ...alice, text: 'a' })).toMatchObject({ reason: 'blocked' })
  })

  test.each([undefined, '', '   '])('shows Unknown for the nickname %j', async (name) => {
    const { chat } = stageWith({ nicknameOf: async () => name })
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({
      message: { username: 'Unknown' },
    })
  })
})

describe('a client message id', () => {
  test('makes a retry the same message, stored and published once', async () => {
    const { chat, published } = stageWith()
    const send = { ...alice, text: 'hi', clientMessageId: 'c1' }
    const first = await chat.sendMessage(send)
    const again = await chat.sendMessage(send)
    expect(again).toEqual({ ...first, duplicate: true })
    expect(await published()).toHaveLength(1)
  })

  test('publishes on the retry what the first attempt had only stored', async () => {
    const broker = createMemoryBroker()
    let down = true
    const publish: typeof broker.publish = (...args) => (down ? fail() : broker.publish(...args))
    const { chat, events } = stageWith({ publisher: { publish } })
    const send = { ...alice, text: 'hi', clientMessageId: 'c1' }
    expect(await chat.sendMessage(send)).toEqual({ ok: false, reason: 'unavailable', retryable: true })
    expect(events[0]).toMatchObject({ type: 'backend_failed', stage: 'publish' })
    down = false
    expect(await chat.sendMessage(send)).toMatchObject({ ok: true, message: line, duplicate: true })
    expect((await broker.read('chat:T1')).messages).toHaveLength(1)
  })

  test('does not bring a message live that was deleted before the retry', async () => {
    const broker = createMemoryBroker()
    let down = true
    const publish: typeof broker.publish = (...args) => (down ? fail() : broker.publish(...args))
    const { chat } = stageWith({ publisher: { publish } })
    const send = { ...alice, text: 'hi', clientMessageId: 'c1' }
    await chat.sendMessage(send)
    down = false
    const deleted = await chat.deleteMessage('T1', 'm1')
    const retry = await chat.sendMessage(send)
    expect(retry).toMatchObject({ ok: true, message: line, duplicate: true, position: { seq: 1 } })
    expect(deleted).toMatchObject({ ok: true, position: { seq: 1 } })
    const { messages } = await broker.read('chat:T1')
    expect(messages.map(({ data }): unknown => JSON.parse(data.toString()))).toEqual([
      { type: 'deleted', roomId: 'T1', messageId: 'm1' },
    ])
  })

  test('belongs to its user and room', async () => {
    const { chat } = stageWith()
    const senders = [alice, { ...alice, userId: 'bob' }, { ...alice, roomId: 'T2' }]
    for (const member of senders)
      expect(await chat.sendMessage({ ...member, text: 'hi', clientMessageId: 'c' })).toMatchObject({
        duplicate: false,
      })
  })

  test('is refused for another text', async () => {
    const { chat } = stageWith()
    await chat.sendMessage({ ...alice, text: 'hi', clientMessageId: 'c' })
    expect(await chat.sendMessage({ ...alice, text: 'ho', clientMessageId: 'c' })).toEqual({
      ok: false,
      reason: 'conflict',
      retryable: false,
    })
  })

  test('decides whether a doubtful outcome may be retried', async () => {
    const { chat } = stageWith({ publisher: { publish: fail } })
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({ ok: false, retryable: false })
  })
})

describe('when something fails', () => {
  test.each([
    ['rate', { checkRate: fail }],
    ['member', { isMember: fail }],
    ['muted', { isMuted: fail }],
    ['filter', { filter: fail }],
  ] satisfies [string, Partial<ChatOptions>][])(
    'refuses as unavailable when %s cannot be asked, and says so',
    async (check, options) => {
      const { chat, events, published } = stageWith(options)
      expect(await chat.sendMessage({ ...alice, text: 'hi' })).toEqual({
        ok: false,
        reason: 'unavailable',
        retryable: true,
      })
      expect(events[0]).toMatchObject({
        type: 'check_failed',
        check,
        outcome: 'refused',
        error: new Error('down'),
      })
      expect(await published()).toEqual([])
    },
  )

  test("lets the message pass when the mute check fails and the policy is 'allow', and says so each time", async () => {
    const { chat, events } = stageWith({ isMuted: fail, onMuteError: 'allow' })
    await chat.sendMessage({ ...alice, text: 'one' })
    expect(await chat.sendMessage({ ...alice, text: 'two' })).toMatchObject({ ok: true })
    const failed = events.filter(({ type }) => type === 'check_failed')
    expect(failed).toHaveLength(2)
    expect(failed[0]).toMatchObject({ check: 'muted', outcome: 'allowed' })
  })

  test('goes on as Unknown when the nickname cannot be had', async () => {
    const { chat, events } = stageWith({ nicknameOf: fail })
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({
      message: { username: 'Unknown' },
    })
    expect(events[0]).toMatchObject({ check: 'nickname', outcome: 'allowed' })
  })

  test('waits for no answer longer than the deadline', async () => {
    const { chat, events } = stageWith({ isMember: () => new Promise(() => {}), limits: { timeoutMs: 5 } })
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({ reason: 'unavailable' })
    expect(events[0]).toMatchObject({ check: 'member', error: expect.any(ChatError) })
  })

  test('publishes nothing that was not stored', async () => {
    const store = new MemoryChatStore()
    store.save = fail
    const { chat, published, events } = stageWith({ store })
    expect(await chat.sendMessage({ ...alice, text: 'hi', clientMessageId: 'c' })).toMatchObject({
      reason: 'unavailable',
      retryable: true,
    })
    expect(events[0]).toMatchObject({ type: 'backend_failed', stage: 'store' })
    expect(await published()).toEqual([])
  })

  test('accepts the message although the observer throws', async () => {
    const onEvent = (): void => {
      throw new Error('observer')
    }
    const { chat } = stageWith({ onEvent })
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({ ok: true })
  })

  test('fails at construction for limits that cannot be', () => {
    expect(() => stageWith({ limits: { maxLength: 0 } })).toThrow('maxLength (0)')
  })
})

describe('cached answers', () => {
  test('are asked once for a moment, and again after it', async () => {
    const stage = stageWith({ limits: { checkTtlMs: 1000, nicknameTtlMs: 5000 } })
    const send = (): Promise<unknown> => stage.chat.sendMessage({ ...alice, text: 'hi' })
    await Promise.all([send(), send(), send()])
    expect(stage.asked).toEqual(['member', 'muted', 'nickname'])
    stage.nowMs += 1000
    await send()
    expect(stage.asked).toEqual(['member', 'muted', 'nickname', 'member', 'muted'])
  })

  test.each([{ roomId: 'T1' }, { userId: 'alice' }, alice])('are forgotten by invalidate(%j)', async (of) => {
    let muted = false
    const { chat } = stageWith({ isMuted: async () => muted, limits: { checkTtlMs: 60_000 } })
    await chat.sendMessage({ ...alice, text: 'hi' })
    muted = true
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({ ok: true })
    chat.invalidate({ roomId: 'T2', userId: 'alice' })
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({ ok: true })
    chat.invalidate(of)
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({ reason: 'muted' })
  })

  test('that were being fetched when they were invalidated are not kept', async () => {
    const answers: ((muted: boolean) => void)[] = []
    const asked = Promise.withResolvers<void>()
    const isMuted = (): Promise<boolean> =>
      new Promise((resolve) => {
        answers.push(resolve)
        asked.resolve()
      })
    const { chat } = stageWith({ isMuted, limits: { checkTtlMs: 60_000 } })
    const before = chat.checkMuted(alice)
    await asked.promise
    chat.invalidate(alice)
    const after = chat.checkMuted(alice)
    expect(answers).toHaveLength(2)
    answers[1]?.(true)
    answers[0]?.(false)
    expect([await before, await after, await chat.checkMuted(alice)]).toEqual(['not_muted', 'muted', 'muted'])
    expect(answers).toHaveLength(2)
  })

  test('are bounded', async () => {
    const { chat, asked } = stageWith({ limits: { maxAnswers: 2 } })
    for (const userId of ['a', 'b', 'c', 'a']) await chat.checkMuted({ roomId: 'T1', userId })
    expect(asked).toEqual(['muted', 'muted', 'muted', 'muted'])
    await chat.checkMuted({ roomId: 'T1', userId: 'c' })
    expect(asked).toHaveLength(4)
  })

  test('that someone is no member are not kept: who has just come in may speak at once', async () => {
    let isIn = false
    let asked = 0
    const isMember = async (): Promise<boolean> => {
      asked += 1
      return isIn
    }
    const { chat } = stageWith({ isMember, limits: { checkTtlMs: 60_000 } })
    const outside = [chat.getHistory(alice), chat.sendMessage({ ...alice, text: 'hi' })]
    for (const refused of await Promise.all(outside)) expect(refused).toMatchObject({ reason: 'not_member' })
    // Who asks while the answer is on its way shares it.
    expect(asked).toBe(1)
    isIn = true
    expect(await chat.sendMessage({ ...alice, text: 'hi' })).toMatchObject({ ok: true })
    expect(await chat.sendMessage({ ...alice, text: 'again' })).toMatchObject({ ok: true })
    expect(asked).toBe(2)
  })

  test('that someone has no name are not kept', async () => {
    const names = [' ', 'Alice']
    const { chat } = stageWith({ nicknameOf: async () => names.shift() })
    const shown = async (): Promise<unknown> => {
      const sent = await chat.sendMessage({ ...alice, text: 'hi' })
      return sent.ok && sent.message.username
    }
    expect([await shown(), await shown(), await shown()]).toEqual(['Unknown', 'Alice', 'Alice'])
  })

  test('of a failure are not kept', async () => {
    let calls = 0
    const { chat } = stageWith({ isMuted: async () => (++calls === 1 ? await fail() : false) })
    expect(await chat.checkMuted(alice)).toBe('unknown')
    expect(await chat.checkMuted(alice)).toBe('not_muted')
  })
})

describe('history', () => {
  test('is for members, when a user asks', async () => {
    const { chat } = stageWith({ isMember: async ({ userId }) => userId === 'alice' })
    await chat.sendMessage({ ...alice, text: 'hi' })
    expect(await chat.getHistory(alice)).toMatchObject({ ok: true, messages: [line] })
    expect(await chat.getHistory({ roomId: 'T1', userId: 'eve' })).toEqual({
      ok: false,
      reason: 'not_member',
      retryable: false,
    })
    const { chat: blind } = stageWith({ isMember: fail })
    expect(await blind.getHistory(alice)).toMatchObject({ reason: 'unavailable', retryable: true })
  })

  test.each([
    [undefined, 2],
    [0, 1],
    [Number.NaN, 1],
    [3, 3],
    [99, 4],
  ])('gives for a limit of %j a page of %j', async (limit, size) => {
    const { chat } = stageWith({ limits: { pageSize: 2, maxPageSize: 4 } })
    for (let n = 0; n < 6; n++) await chat.sendMessage({ ...alice, text: `${n}` })
    const page = await chat.getHistory({ roomId: 'T1', ...(limit !== undefined && { limit }) })
    expect(page.ok && page.messages.length).toBe(size)
  })

  test('loses a deleted message, and says so once on the channel', async () => {
    const { chat, published } = stageWith()
    await chat.sendMessage({ ...alice, text: 'hi' })
    const deleted = await chat.deleteMessage('T1', 'm1')
    expect(deleted).toMatchObject({ ok: true, duplicate: false, position: { seq: 2 } })
    expect(await chat.deleteMessage('T1', 'm1')).toEqual({ ...deleted, duplicate: true })
    expect(await chat.deleteMessage('T1', 'm9')).toEqual({ ok: false, reason: 'not_found', retryable: false })
    expect(await published()).toMatchObject([
      { type: 'message' },
      { type: 'deleted', roomId: 'T1', messageId: 'm1' },
    ])
    expect(await chat.getHistory({ roomId: 'T1' })).toMatchObject({ messages: [] })
  })

  test('tells of a deletion by the retry, though the message was the oldest and others came', async () => {
    const broker = createMemoryBroker()
    let down = false
    const publish: typeof broker.publish = (...args) => (down ? fail() : broker.publish(...args))
    const { chat } = stageWith({ publisher: { publish } })
    await chat.sendMessage({ ...alice, text: 'rude' })
    down = true
    expect(await chat.deleteMessage('T1', 'm1')).toMatchObject({ reason: 'unavailable', retryable: true })
    down = false
    await chat.sendMessage({ ...alice, text: 'hi' })
    expect(await chat.deleteMessage('T1', 'm1')).toMatchObject({ ok: true, position: { seq: 3 } })
  })

  test('takes a line from the system, and trims when told', async () => {
    const stage = stageWith()
    expect(await stage.chat.saveMessage('T1', line)).toEqual({ message: line, duplicate: false })
    expect(await stage.published()).toEqual([])
    stage.nowMs += 86_400_000
    expect(await stage.chat.trimHistory('T1')).toBe(1)
  })
})
