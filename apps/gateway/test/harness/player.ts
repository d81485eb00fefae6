import { connectWs, type TestMessage, type TestWsClient } from '@gw/testing'
import { parseServerMessage } from '@gw/protocol/schemas'
import { type GatewayProcess, tokenOf } from './platform.ts'

/** A user on a socket, authenticated. Every message that comes is checked against the wire's schemas. */
export interface Player extends AsyncDisposable {
  readonly userId: string
  readonly socket: TestWsClient
  send(message: object): void
  next(type: string | ((message: TestMessage) => boolean), timeoutMs?: number): Promise<TestMessage>
  /** Sends a request with an id; resolves with the answer that carries it. */
  ask(message: { readonly type: string; readonly [field: string]: unknown }): Promise<TestMessage>
  /** Throws when something came that no schema of the wire knows. */
  assertKnownMessages(): void
}

export interface Hello {
  readonly features?: readonly string[]
  /** By channel, where the user stands. */
  readonly resume?: object
  /** Of the handshake. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A user's authenticated socket. Without `features` it is one of today's web client. */
export async function signIn(
  wsUrl: string,
  userId: string,
  { headers = {}, ...hello }: Hello = {},
): Promise<TestWsClient> {
  const socket = await connectWs(wsUrl, { headers })
  socket.send({ type: 'Authenticate', token: tokenOf(userId), ...hello })
  await socket.next('Welcome')
  return socket
}

let lastId = 0

/** Connects and authenticates with feature `acks`, or as today's web client with `legacy`. */
export async function connectPlayer(
  wsUrl: string,
  userId: string,
  kind: 'acks' | 'legacy' = 'acks',
): Promise<Player> {
  const socket = await signIn(wsUrl, userId, kind === 'acks' ? { features: ['acks'] } : {})
  return {
    userId,
    socket,
    send: (message) => socket.send(message),
    next: (type, timeoutMs) => socket.next(type, timeoutMs),
    ask(message) {
      const id = `ask-${++lastId}`
      socket.send({ ...message, id })
      return socket.next((reply) => reply['id'] === id)
    },
    assertKnownMessages() {
      for (const message of socket.received) {
        const parsed = parseServerMessage(message)
        if (!parsed.ok)
          throw new Error(
            `${userId} got a message that the wire doesn't know: ${JSON.stringify(message).slice(0, 400)} ${JSON.stringify(parsed.issues)}`,
          )
      }
    },
    async [Symbol.asyncDispose]() {
      await socket[Symbol.asyncDispose]()
    },
  }
}

/**
 * Until an update of the table reaches the player again. What Game says on the old channel before a gateway listens again is lost,
 * as plain pub/sub loses it: it is made to say more.
 */
export async function untilUpdated(
  player: Player,
  gateway: Pick<GatewayProcess, 'fetch'>,
  tableId: string,
): Promise<void> {
  let passersBy = 0
  const saying = setInterval(() => {
    const passerBy = { userId: `passer-by-${passersBy++}`, method: 'POST' }
    gateway.fetch(`/api/tables/${tableId}/spectate`, passerBy).catch(() => {})
  }, 200)
  const isUpdate = (message: TestMessage): boolean =>
    message.type === 'TableSnapshot' && JSON.stringify(message).includes('passer-by-')
  await player.next(isUpdate, 15_000).finally(() => clearInterval(saying))
}
