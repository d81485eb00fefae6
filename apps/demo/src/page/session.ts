/**
 * One user's session: the SDK's client on one side, the page's state on the other.
 *
 *   server ──message──▶ SDK ──in order, once──▶ receive() ──▶ state ──▶ components ──▶ the functions of `Session`
 */
import { createClient } from '@gw/client'
import { tableChannel } from '@gw/protocol'
import { watchConnection } from './connection-watch.ts'
import { type CrashReport, runCrashTest } from './crash-test.ts'
import { CuttableLink } from './cuttable-link.ts'
import { endTrouble, fetchToken, makeTrouble, type Trouble } from './demo-api.ts'
import type { Move } from './legal-actions.ts'
import { initialState, type PageState } from './page-state.ts'
import { createPageTools } from './page-tools.ts'
import { createRobots } from './robots.ts'
import { createStore, type Store } from './store.ts'
import { createTableRequests, type TableRequests } from './table-requests.ts'
import { watchTable } from './table-watch.ts'
import { type Traffic, watchTraffic } from './traffic.ts'

/** What the components read and call. */
export interface Session extends TableRequests {
  readonly state: Store<PageState>
  readonly crash: Store<CrashReport | undefined>
  readonly traffic: Traffic
  setAutoPlay(isOn: boolean): void
  addRobot(): Promise<void>
  removeRobots(): Promise<void>
  /** For `downMs`, or for a moment. */
  cut(downMs?: number): void
  crashTest(): Promise<void>
  trouble(kind: Trouble | 'none'): Promise<void>
  close(): void
}

const said: Readonly<Record<Trouble | 'none', string>> = {
  slow: 'The next ten calls to Game take 1.2 s longer.',
  failing: 'Game refuses the next three actions.',
  hanging: 'Game leaves the next action without an answer.',
  none: 'Game is well again.',
}

/** How long the wish to see who is online waits for the first connection. */
const firstWaitMs = 60_000

/** Connects as a user; the state says how it goes. */
export function startSession(user: string, users: readonly string[]): Session {
  const state = createStore(initialState(user))
  const crash = createStore<CrashReport | undefined>(undefined)
  const link = new CuttableLink()
  const url = new URL('/ws', location.href)
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  const client = createClient({
    url: url.href,
    token: async () => fetchToken(user),
    WebSocket: link.WebSocket,
    backoff: { baseMs: 300, maxMs: 5000 },
  })
  const traffic = watchTraffic(client)
  const tools = createPageTools({ user, client, state })
  const { notify, guarded, later } = tools
  const stopWatching = watchConnection(tools)
  const table = watchTable(tools, async (move: Move) => requests.act(move))
  const requests = createTableRequests(tools, table.refreshBalance)
  const robots = createRobots(tools, { users, url: url.href })

  client.on('lost', ({ channel, code }) => {
    const tableId = state.get().table?.tableId
    if (tableId === undefined || channel !== tableChannel(tableId))
      return notify(`No longer subscribed to ${channel}: ${code}`, 'error')
    void robots.removeAll()
    state.update((current) => ({ ...current, table: undefined, story: [], isAutoPlaying: false }))
    notify('This table is gone: it was deleted, or the platform was restarted.', 'error')
    void guarded(table.refreshBalance)
  })
  client.on('error', ({ stage, error }) => {
    // Without the server there is no token either: the connection's own state says so.
    if (stage !== 'token') notify(error instanceof Error ? error.message : String(error), 'error')
  })
  void client.connect()
  void client.request({ type: 'SubscribePresence', userIds: [...users] }, firstWaitMs)
  void guarded(table.refreshBalance)

  return {
    ...requests,
    state,
    crash,
    traffic,
    setAutoPlay: table.setAutoPlay,
    addRobot: robots.add,
    removeRobots: robots.removeAll,
    cut(downMs) {
      if (downMs === undefined) return link.cut()
      link.hold()
      later(downMs, () => {
        link.restore()
        client.reconnect()
      })
    },
    crashTest: async () =>
      guarded(async () => {
        const tableId = state.get().table?.tableId
        const running = crash.get()
        if (tableId === undefined || (running && !running.isDone)) return
        const onReport = (report: CrashReport): void => crash.update(() => report)
        await runCrashTest({ client, link, tableId, onReport })
      }),
    trouble: async (kind) =>
      guarded(async () => {
        await (kind === 'none' ? endTrouble() : makeTrouble(kind))
        notify(said[kind])
      }),
    close() {
      stopWatching()
      tools.stop()
      void robots.removeAll()
      traffic.stop()
      client.close()
    },
  }
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
