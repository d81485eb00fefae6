/**
 * One user's session: the SDK's client on one side, the page's state on the other.
 *
 *   server ──message──▶ SDK ──in order, once──▶ receive() ──▶ state ──▶ components ──▶ the functions of `Session`
 */
import { createClient, type StateChange } from '@gw/client'
import type { TableState } from '@gw/protocol'
import { chooseMove } from './choose-move.ts'
import { type CrashReport, runCrashTest } from './crash-test.ts'
import { CuttableLink } from './cuttable-link.ts'
import * as api from './demo-api.ts'
import { legalActions, type Move } from './legal-actions.ts'
import { nameOf } from './names.ts'
import { narrate } from './narrate.ts'
import { initialState, openTable, ownSeat, type PageState, receive, withOlderChat } from './page-state.ts'
import { type Robot, startRobot } from './robot.ts'
import { takeSeat } from './seat-taking.ts'
import { createStore, type Store } from './store.ts'
import { type Traffic, watchTraffic } from './traffic.ts'

/** What the components call. */
export interface Session {
  readonly state: Store<PageState>
  readonly crash: Store<CrashReport | undefined>
  readonly traffic: Traffic
  readonly users: readonly string[]
  open(tableId: string | undefined): Promise<void>
  createTable(): Promise<void>
  sit(seatId: number): Promise<void>
  leaveSeat(): Promise<void>
  act(move: Move): Promise<void>
  setAutoPlay(isOn: boolean): void
  addRobot(): Promise<void>
  removeRobots(): Promise<void>
  /** True when it was accepted. */
  say(text: string): Promise<boolean>
  typing(): void
  loadOlderChat(): Promise<void>
  /** For `downMs`, or for a moment. */
  cut(downMs?: number): void
  crashTest(): Promise<void>
  trouble(kind: api.Trouble | 'none'): Promise<void>
  notify(text: string, tone?: 'info' | 'error'): void
  close(): void
}

const pingEveryMs = 4000
const typingEveryMs = 2000
const endedHandMs = 9000
const noticeMs = 6000
const autoPlayMs = 900
const keptLatencies = 40
const keptStory = 60

/** Connects as a user; the state says how it goes. */
export function startSession(user: string, users: readonly string[]): Session {
  const state = createStore(initialState(user))
  const crash = createStore<CrashReport | undefined>(undefined)
  const link = new CuttableLink()
  const url = new URL('/ws', location.href)
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  const client = createClient({
    url: url.href,
    token: async () => api.fetchToken(user),
    WebSocket: link.WebSocket,
    backoff: { baseMs: 300, maxMs: 5000 },
  })
  const traffic = watchTraffic(client)
  const robots = new Map<string, Robot>()
  const timers = new Set<ReturnType<typeof setTimeout>>()
  let lastId = 0
  let lastTypingAt = 0
  let wasOpen = false
  let playedTurn = ''

  const later = (ms: number, run: () => void): void => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      run()
    }, ms)
    timers.add(timer)
  }
  const set = (change: Partial<PageState>): void => state.update((page) => ({ ...page, ...change }))
  const notify = (text: string, tone: 'info' | 'error' = 'info'): void => {
    const id = ++lastId
    state.update((page) => ({ ...page, notices: [...page.notices.slice(-3), { id, tone, text }] }))
    later(noticeMs, () =>
      state.update((page) => ({ ...page, notices: page.notices.filter((notice) => notice.id !== id) })),
    )
  }
  const tell = (sentences: readonly string[]): void => {
    if (sentences.length === 0) return
    const added = sentences.map((text) => ({ id: ++lastId, text }))
    state.update((page) => ({ ...page, story: [...page.story, ...added].slice(-keptStory) }))
  }
  /** Nothing that a button starts may fail without a word. */
  const guarded = async (run: () => Promise<void>): Promise<void> => {
    try {
      await run()
    } catch (error) {
      notify(error instanceof Error ? error.message : String(error), 'error')
    }
  }

  const refreshBalance = async (): Promise<void> => {
    set({ balance: await api.fetchBalance(user, await api.fetchToken(user)) })
  }
  const showCards = async (handId: string): Promise<void> => {
    const shown = await api.fetchShownCards(handId, await api.fetchToken(user))
    state.update((page) => {
      const ended = page.table?.ended
      if (!page.table || ended?.hand.handId !== handId) return page
      return { ...page, table: { ...page.table, ended: { ...ended, shown } } }
    })
  }
  const onHandEnded = (table: TableState): void => {
    const hand = table.hand
    if (!hand) return
    // The record is written behind the last broadcast.
    if (hand.street === 'SHOWDOWN')
      later(
        250,
        () =>
          void showCards(hand.handId).catch(() =>
            later(700, () => void guarded(() => showCards(hand.handId))),
          ),
      )
    later(endedHandMs, () =>
      state.update((page) =>
        page.table?.ended?.hand.handId === hand.handId
          ? { ...page, table: { ...page.table, ended: undefined } }
          : page,
      ),
    )
  }
  const autoPlay = (): void => {
    const page = state.get()
    const table = page.table?.state
    const legal = page.isAutoPlaying && table ? legalActions(table, ownSeat(page)?.seatId) : null
    if (!legal || !table?.hand) return
    const turn = `${table.hand.handId}:${table.hand.actions.length}`
    if (playedTurn === turn) return
    playedTurn = turn
    const move = chooseMove(table.hand, legal, Math.random)
    later(autoPlayMs, () => {
      if (state.get().isAutoPlaying) void session.act(move)
    })
  }
  const watchPeople = (table: TableState): void => {
    const { presence } = state.get()
    const people = [
      ...table.seats.map(({ userId }) => userId),
      ...table.spectators.map(({ userId }) => userId),
    ]
    const userIds = people.filter((id): id is string => id !== null && !(id in presence))
    if (userIds.length === 0) return
    set({ presence: { ...presence, ...Object.fromEntries(userIds.map((id) => [id, 'offline' as const])) } })
    void client.request({ type: 'SubscribePresence', userIds: [...new Set(userIds)] })
  }

  const ping = async (): Promise<void> => {
    if (client.state !== 'open') return
    const sentAt = performance.now()
    const answer = await client.request({ type: 'Ping' }, pingEveryMs)
    if (!answer.ok) return
    const ms = performance.now() - sentAt
    const clockOffsetMs = Date.parse(answer.reply.at) + ms / 2 - Date.now()
    state.update((page) => {
      const latencies = [...page.connection.latencies, ms].slice(-keptLatencies)
      return { ...page, connection: { ...page.connection, latencies, clockOffsetMs } }
    })
  }
  const onState = ({ state: next, retryInMs, code, reason }: StateChange): void => {
    state.update((page) => {
      const { connection } = page
      const isBack = next === 'open' && wasOpen
      return {
        ...page,
        connection: {
          ...connection,
          state: next,
          retryAt: retryInMs === undefined ? undefined : Date.now() + retryInMs,
          ended: code === undefined ? connection.ended : `${code} ${reason ?? ''}`.trim(),
          reconnects: connection.reconnects + (isBack ? 1 : 0),
        },
      }
    })
    if (next !== 'open') return
    wasOpen = true
    void ping()
  }

  client.on('state', onState)
  client.on('message', (message) => {
    const before = state.get()
    const after = receive(before, message, Date.now())
    state.update(() => after)
    if (message.type === 'Typing')
      later(4100, () => state.update((page) => (page.table ? { ...page, table: { ...page.table } } : page)))
    const table = after.table?.state
    if (message.type !== 'TableSnapshot' || !table || table === before.table?.state) return
    tell(narrate(before.table?.state, table, user))
    watchPeople(table)
    if (table.hand?.endedAt && before.table?.ended?.hand.handId !== table.hand.handId) onHandEnded(table)
    if (before.table?.state?.hand && !table.hand) void guarded(refreshBalance)
    autoPlay()
  })
  client.on('lost', ({ channel, code }) => notify(`No longer subscribed to ${channel}: ${code}`, 'error'))
  client.on('error', ({ stage, error }) => {
    // Without the server there is no token either: the connection's own state says so.
    if (stage !== 'token') notify(error instanceof Error ? error.message : String(error), 'error')
  })

  const pinging = setInterval(() => void ping(), pingEveryMs)
  const onVisibility = (): void =>
    void client.request({ type: 'SetAway', away: document.visibilityState === 'hidden' })
  const onOnline = (): void => client.reconnect()
  document.addEventListener('visibilitychange', onVisibility)
  addEventListener('online', onOnline)
  void client.connect()
  void client.request({ type: 'SubscribePresence', userIds: [...users] }, 60_000)
  void guarded(refreshBalance)

  const session: Session = {
    state,
    crash,
    traffic,
    users,
    open: async (tableId) =>
      guarded(async () => {
        const { table } = state.get()
        if (table?.tableId === tableId) return
        set({ table: tableId === undefined ? undefined : openTable(tableId), story: [] })
        if (table) {
          if (table.state?.seats.some(({ userId }) => userId === user))
            void client.request({ type: 'LeaveTable', tableId: table.tableId })
          void client.request({ type: 'UnsubscribeTable', tableId: table.tableId })
          void client.request({ type: 'UnsubscribeChat', tableId: table.tableId })
        }
        if (tableId === undefined) return
        const subscribed = await client.request({ type: 'SubscribeTable', tableId }, 60_000)
        if (!subscribed.ok) throw new Error(`The table did not open: ${subscribed.message}`)
        // Behind the table's: who watches is a member of the chat, and gets its history.
        await client.request({ type: 'SubscribeChat', tableId })
      }),
    createTable: async () =>
      guarded(async () => {
        const name = `${nameOf(user)}'s table`
        await session.open(await api.createTable(name, await api.fetchToken(user)))
      }),
    sit: async (seatId) =>
      guarded(async () => {
        const tableId = state.get().table?.tableId
        if (tableId === undefined) return
        const problem = await takeSeat(client, { user, tableId, seatId })
        if (problem !== undefined) notify(`No seat: ${problem}`, 'error')
        await refreshBalance()
      }),
    leaveSeat: async () =>
      guarded(async () => {
        const tableId = state.get().table?.tableId
        if (tableId === undefined) return
        const left = await client.request({ type: 'LeaveTable', tableId })
        if (!left.ok) notify(`Still seated: ${left.message}`, 'error')
        await refreshBalance()
      }),
    act: async (move) =>
      guarded(async () => {
        const { table, isActing } = state.get()
        const hand = table?.state?.hand
        if (!table || !hand || isActing) return
        set({ isActing: true })
        try {
          const answer = await client.request({
            type: 'Action',
            tableId: table.tableId,
            handId: hand.handId,
            ...move,
          })
          if (!answer.ok) notify(`${move.action}: ${answer.message} (${answer.code})`, 'error')
          else if (!answer.reply.accepted)
            notify(`${move.action} was refused: ${answer.reply.reason}`, 'error')
        } finally {
          set({ isActing: false })
        }
      }),
    setAutoPlay: (isAutoPlaying) => {
      set({ isAutoPlaying })
      playedTurn = ''
      autoPlay()
    },
    addRobot: async () =>
      guarded(async () => {
        const { table, presence } = state.get()
        if (!table) return
        const seated = new Set(table.state?.seats.map(({ userId }) => userId))
        const isFree = (name: string): boolean => name !== user && !robots.has(name) && !seated.has(name)
        const robot =
          users.find((name) => isFree(name) && presence[name] !== 'online') ??
          users.find((name) => isFree(name))
        if (robot === undefined) throw new Error('All demo users are at the table.')
        const started = await startRobot({
          user: robot,
          tableId: table.tableId,
          url: url.href,
          onProblem: (text) => notify(text, 'error'),
        })
        robots.set(robot, started)
        set({ robots: [...robots.keys()] })
      }),
    removeRobots: async () =>
      guarded(async () => {
        const leaving = [...robots.values()]
        robots.clear()
        set({ robots: [] })
        await Promise.all(leaving.map(async (robot) => robot.stop()))
      }),
    say: async (text) => {
      const { table } = state.get()
      if (!table) return false
      const answer = await client.request({ type: 'ChatSend', tableId: table.tableId, message: text })
      if (!answer.ok) notify(`Not said: ${answer.message}`, 'error')
      return answer.ok
    },
    typing: () => {
      const { table } = state.get()
      if (!table || Date.now() - lastTypingAt < typingEveryMs) return
      lastTypingAt = Date.now()
      client.send({ type: 'SetTyping', tableId: table.tableId })
    },
    loadOlderChat: async () =>
      guarded(async () => {
        const { table } = state.get()
        const oldest = table?.chat[0]
        if (!table || !oldest) return
        const { tableId } = table
        const page = await client.request({ type: 'GetChatHistory', tableId, before: oldest.id })
        if (!page.ok) throw new Error(`No older messages: ${page.message}`)
        state.update((now) =>
          now.table?.tableId === tableId
            ? { ...now, table: withOlderChat(now.table, page.reply.history, page.reply.more) }
            : now,
        )
      }),
    cut: (downMs) => {
      if (downMs === undefined) return link.cut()
      link.hold()
      later(downMs, () => {
        link.restore()
        client.reconnect()
      })
    },
    crashTest: async () =>
      guarded(async () => {
        const { table } = state.get()
        if (!table || (crash.get() && !crash.get()?.isDone)) return
        await runCrashTest({
          client,
          link,
          tableId: table.tableId,
          onReport: (report) => crash.update(() => report),
        })
      }),
    trouble: async (kind) =>
      guarded(async () => {
        await (kind === 'none' ? api.endTrouble() : api.makeTrouble(kind))
        const said = {
          slow: 'The next ten calls to Game take 1.2 s longer.',
          failing: 'Game refuses the next three actions.',
          hanging: 'Game leaves the next action without an answer.',
          none: 'Game is well again.',
        }
        notify(said[kind])
      }),
    notify,
    close: () => {
      for (const timer of timers) clearTimeout(timer)
      clearInterval(pinging)
      document.removeEventListener('visibilitychange', onVisibility)
      removeEventListener('online', onOnline)
      for (const robot of robots.values()) void robot.stop()
      traffic.stop()
      client.close()
    },
  }
  return session
}

/** For the curious, in the browser's console, and for the tests: what came, and where each channel stands. */
export function exposeTraffic({ traffic }: Session): void {
  Object.assign(globalThis, {
    gatewayDemo: {
      received: () => traffic.received(),
      channels: () => Object.fromEntries(traffic.channels.get()),
    },
  })
}
