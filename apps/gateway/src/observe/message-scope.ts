/** Where the handling of one client message runs: its ids for log lines and backends, and the root span of its trace. */
import { runWithContext } from '@gw/observability/http'
import { isTracing, withSpan } from '@gw/observability/tracing'
import { clientTypeLabel } from './labels.ts'

/** Which message is handled. */
export interface MessageFacts {
  /** The same for all that the message causes, on any service. */
  readonly requestId: string
  readonly connectionId: string
  readonly userId: string | undefined
  readonly type: string
  readonly tableId: string | undefined
}

/** Runs `handle` in the message's scope. */
export type MessageScope = <T>(message: MessageFacts, handle: () => Promise<T>) => Promise<T>

/** By the names that dashboards know (contract §7): `ws.table`, `ws.chat` and the like. */
function hubOf(type: string): string {
  if (/Chat|Typing/.test(type)) return 'chat'
  if (/Lobby/.test(type)) return 'lobby'
  if (/Presence|Away/.test(type)) return 'presence'
  return /Table|Seat|^Action$/.test(type) ? 'table' : 'session'
}

/** With tracing off it costs the context of the log lines alone. */
export const messageScope: MessageScope = ({ requestId, connectionId, userId, type, tableId }, handle) =>
  runWithContext({ requestId, connectionId, ...(userId !== undefined && { userId }) }, () => {
    if (!isTracing()) return handle()
    const hub = hubOf(type)
    const attributes = {
      'ws.hub': hub,
      'ws.message_type': clientTypeLabel(type),
      ...(tableId !== undefined && { 'poker.table_id': tableId.slice(0, 128) }),
    }
    return withSpan(`ws.${hub}`, { kind: 'server', parent: 'root', tracer: 'gateway-ws', attributes }, handle)
  })
