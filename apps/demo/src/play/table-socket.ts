import type { ServerMessage } from '@gw/protocol'
import { parseServerMessage } from '@gw/protocol/schemas'

/** One authenticated socket that reads plain frames, checks each against the protocol, and keeps count. */
export interface TableSocket {
  readonly name: string
  readonly send: (message: Readonly<Record<string, unknown>>) => void
  /** How many messages of each type came. */
  readonly counts: ReadonlyMap<string, number>
  /** Frames that are not in the protocol, or not JSON. */
  readonly strange: readonly string[]
  /** Called with every message after the Welcome. One listener. */
  readonly onMessage: (listener: (message: ServerMessage) => void) => void
  readonly close: () => void
}

export interface TableSocketOptions {
  readonly name: string
  /** The gateway's `/ws`. */
  readonly url: string
  readonly token: string
  /** From connecting to the Welcome, in ms. */
  readonly timeoutMs: number
  readonly onClose: (reason: string) => void
}

/** Connects, authenticates by the first message, and resolves with the Welcome. Rejects on time-out or close. */
export async function openTableSocket(options: TableSocketOptions): Promise<TableSocket> {
  const socket = new WebSocket(options.url)
  const counts = new Map<string, number>()
  const strange: string[] = []
  let listener = (_message: ServerMessage): void => {}
  const welcome = Promise.withResolvers<void>()
  const timer = setTimeout(() => welcome.reject(new Error(`${options.name}: no Welcome`)), options.timeoutMs)
  socket.addEventListener('open', () => {
    socket.send(JSON.stringify({ type: 'Authenticate', token: options.token }))
  })
  socket.addEventListener('close', (event) => {
    const reason = `${options.name}: the socket closed with ${event.code} ${event.reason}`
    welcome.reject(new Error(reason))
    options.onClose(reason)
  })
  socket.addEventListener('message', (event) => {
    const message = readMessage(event.data)
    if (!message) {
      strange.push(String(event.data).slice(0, 200))
      return
    }
    counts.set(message.type, (counts.get(message.type) ?? 0) + 1)
    if (message.type === 'Welcome') welcome.resolve()
    listener(message)
  })
  try {
    await welcome.promise
  } catch (error) {
    socket.close()
    throw error
  } finally {
    clearTimeout(timer)
  }
  return {
    name: options.name,
    send: (message) => socket.send(JSON.stringify(message)),
    counts,
    strange,
    onMessage: (next) => (listener = next),
    close: () => socket.close(1000),
  }
}

function readMessage(data: unknown): ServerMessage | null {
  try {
    const parsed = parseServerMessage(JSON.parse(String(data)))
    return parsed.ok ? parsed.message : null
  } catch {
    return null
  }
}
