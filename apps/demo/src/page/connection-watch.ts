import type { StateChange } from '@gw/client'
import type { ConnectionView } from './page-state.ts'
import type { PageTools } from './page-tools.ts'

const pingEveryMs = 4000
const keptLatencies = 40

/** Keeps the page's view of the connection: state, reconnects, round trips, the server's clock. Gives the function that ends it. */
export function watchConnection({ client, state }: PageTools): () => void {
  let wasOpen = false

  const change = (next: (connection: ConnectionView) => Partial<ConnectionView>): void =>
    state.update((page) => ({ ...page, connection: { ...page.connection, ...next(page.connection) } }))

  const ping = async (): Promise<void> => {
    if (client.state !== 'open') return
    const sentAt = performance.now()
    const answer = await client.request({ type: 'Ping' }, pingEveryMs)
    if (!answer.ok) return
    const ms = performance.now() - sentAt
    const clockOffsetMs = Date.parse(answer.reply.at) + ms / 2 - Date.now()
    change(({ latencies }) => ({ latencies: [...latencies, ms].slice(-keptLatencies), clockOffsetMs }))
  }
  const onState = ({ state: next, retryInMs, code, reason }: StateChange): void => {
    const isBack = next === 'open' && wasOpen
    change(({ reconnects, ended }) => ({
      state: next,
      retryAt: retryInMs === undefined ? undefined : Date.now() + retryInMs,
      ended: code === undefined ? ended : `${code} ${reason ?? ''}`.trim(),
      reconnects: reconnects + (isBack ? 1 : 0),
    }))
    if (next !== 'open') return
    wasOpen = true
    void ping()
  }
  const onVisibility = (): void =>
    void client.request({ type: 'SetAway', away: document.visibilityState === 'hidden' })
  const onOnline = (): void => client.reconnect()

  client.on('state', onState)
  const pinging = setInterval(() => void ping(), pingEveryMs)
  document.addEventListener('visibilitychange', onVisibility)
  addEventListener('online', onOnline)
  return () => {
    clearInterval(pinging)
    document.removeEventListener('visibilitychange', onVisibility)
    removeEventListener('online', onOnline)
  }
}
