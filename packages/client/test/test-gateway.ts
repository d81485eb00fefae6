/**
 * A small real gateway for the SDK's tests: a WebSocket server with a log per chat. It keeps to PROTOCOL.md (every frame that
 * it sends or gets is checked with the schemas) unless a test makes it misbehave.
 */
import { once } from 'node:events'
import {
  type Authenticate,
  type ChatMessage,
  type ClientMessage,
  type ClientMessageType,
  features,
  type Position,
  type ServerMessage,
} from '@gw/protocol'
import { parseClientMessage, parseServerMessage } from '@gw/protocol/schemas'
import { type WebSocket, WebSocketServer } from 'ws'

const at = '2026-11-22T09:48:46.470Z'

/** One socket as the server sees it. */
export class Peer {
  readonly received: ClientMessage[] = []
  readonly channels: Set<string> = new Set()
  readonly closed: Promise<unknown>
  readonly #socket: WebSocket
  readonly #waiting: { type: ClientMessageType; resolve: (message: ClientMessage) => void }[] = []
  #taken = 0

  constructor(socket: WebSocket) {
    this.#socket = socket
    this.closed = once(socket, 'close')
  }

  take(message: ClientMessage): void {
    this.received.push(message)
    this.#match()
  }

  /** The next message of that type; those before it count as read. */
  next<T extends ClientMessageType>(type: T): Promise<Extract<ClientMessage, { type: T }>> {
    return new Promise((resolve) => {
      const isWanted = (message: ClientMessage): message is Extract<ClientMessage, { type: T }> =>
        message.type === type
      this.#waiting.push({ type, resolve: (message) => isWanted(message) && resolve(message) })
      this.#match()
    })
  }

  send(message: ServerMessage): void {
    const parsed = parseServerMessage(message)
    if (!parsed.ok) throw new Error(`The test gateway broke the wire: ${JSON.stringify(parsed.issues)}`)
    this.#socket.send(JSON.stringify(message))
  }

  /** What this version of the wire does not know. */
  sendRaw(message: object): void {
    this.#socket.send(JSON.stringify(message))
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason)
  }

  /** As a lost link: no close frame. */
  cut(): void {
    this.#socket.terminate()
  }

  #match(): void {
    const [wanted] = this.#waiting
    if (!wanted) return
    const found = this.received.findIndex(
      (message, index) => index >= this.#taken && message.type === wanted.type,
    )
    const message = this.received[found]
    if (!message) return
    this.#taken = found + 1
    this.#waiting.shift()
    wanted.resolve(message)
    this.#match()
  }
}

/** Answers a message instead of the default; true when it did. */
export type Override = (peer: Peer, message: ClientMessage) => boolean

export class TestGateway implements AsyncDisposable {
  readonly peers: Peer[] = []
  epoch: string = 'e1'
  /** The lowest seq that the logs still have. */
  oldest: number = 1
  heartbeatMs: number | undefined
  override: Override = () => false
  readonly #server: WebSocketServer
  readonly #logs = new Map<string, ChatMessage[]>()
  readonly #arrivals: ((peer: Peer) => void)[] = []
  #awaited = 0

  private constructor(server: WebSocketServer) {
    this.#server = server
    server.on('connection', (socket) => this.#accept(socket))
  }

  static async start(): Promise<TestGateway> {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    return new TestGateway(server)
  }

  get url(): string {
    const address = this.#server.address()
    if (typeof address !== 'object' || address === null) throw new Error('The test gateway has no port')
    return `ws://127.0.0.1:${address.port}/ws`
  }

  /** The next connection that no earlier call gave. */
  nextPeer(): Promise<Peer> {
    const peer = this.peers[this.#awaited++]
    return peer ? Promise.resolve(peer) : new Promise((resolve) => this.#arrivals.push(resolve))
  }

  /** Appends to a chat's log and sends it to its subscribers. */
  publish(tableId: string, text: string): ChatMessage {
    const message = this.append(tableId, text)
    this.sendAll(message)
    return message
  }

  /** Sends a message of a chat to the chat's subscribers, whatever they have had. */
  sendAll(message: ChatMessage): void {
    for (const peer of this.peers) if (peer.channels.has(`chat:${message.tableId}`)) peer.send(message)
  }

  /** Only appends: as if it had been lost on the way. */
  append(tableId: string, text: string): ChatMessage {
    const log = this.#log(`chat:${tableId}`)
    const seq = log.length + 1
    const message: ChatMessage = {
      type: 'ChatMessage',
      tableId,
      channel: `chat:${tableId}`,
      epoch: this.epoch,
      seq,
      message: { id: `${this.epoch}-${seq}`, userId: 'u', username: 'U', text, ts: at },
    }
    log.push(message)
    return message
  }

  /** A new life of all logs. */
  newEpoch(epoch: string): void {
    this.epoch = epoch
    this.#logs.clear()
  }

  welcome(peer: Peer, hello: Authenticate): void {
    peer.send({
      type: 'Welcome',
      userId: 'alice',
      connectionId: `c${this.peers.length}`,
      features: [...features],
      ...(this.heartbeatMs !== undefined && { heartbeatMs: this.heartbeatMs }),
    })
    if (!hello.resume) return
    const channels = Object.entries(hello.resume)
    const results = channels.map(([name, since]) => {
      peer.channels.add(name)
      return [
        name,
        this.#has(name, since) ? { recovered: true, ...since } : { recovered: false, ...this.position(name) },
      ] as const
    })
    peer.send({ type: 'Resumed', channels: Object.fromEntries(results) })
    for (const [name, since] of channels) {
      if (this.#has(name, since)) this.#replay(peer, name, since)
      else if (name.startsWith('chat:')) this.#subscribed(peer, name.slice(5), {})
    }
  }

  position(name: string): Position {
    return { epoch: this.epoch, seq: this.#log(name).length }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) peer.cut()
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  #accept(socket: WebSocket): void {
    const peer = new Peer(socket)
    this.peers.push(peer)
    socket.on('error', () => {})
    socket.on('close', () => peer.channels.clear())
    socket.on('message', (data: Buffer) => {
      const parsed = parseClientMessage(JSON.parse(data.toString('utf8')))
      if (!parsed.ok) throw new Error(`The client broke the wire: ${JSON.stringify(parsed)}`)
      if (!this.override(peer, parsed.message)) this.#answer(peer, parsed.message)
      peer.take(parsed.message)
    })
    this.#arrivals.shift()?.(peer)
  }

  #answer(peer: Peer, message: ClientMessage): void {
    const id = message.id === undefined ? {} : { id: message.id }
    if (message.type === 'Authenticate') this.welcome(peer, message)
    else if (message.type === 'SubscribeChat') {
      const { tableId, since } = message
      peer.channels.add(`chat:${tableId}`)
      if (since && this.#has(`chat:${tableId}`, since)) {
        this.#subscribed(peer, tableId, { ...id, recovered: true, ...since })
        this.#replay(peer, `chat:${tableId}`, since)
      } else this.#subscribed(peer, tableId, { ...id, ...(since && { recovered: false }) })
    } else if (message.type === 'Ping') peer.send({ type: 'Pong', ...id, at })
    else if (message.type === 'Action')
      peer.send({
        type: 'ActionResult',
        ...id,
        tableId: message.tableId,
        accepted: false,
        reason: 'NOT_YOUR_TURN',
      })
    else if (message.type === 'SubscribePresence') peer.send({ type: 'PresenceSnapshot', ...id, users: {} })
    else if (message.id !== undefined) {
      if (message.type === 'UnsubscribeChat') peer.channels.delete(`chat:${message.tableId}`)
      peer.send({ type: 'Ack', id: message.id })
    }
  }

  #subscribed(
    peer: Peer,
    tableId: string,
    more: { id?: string; recovered?: boolean } & Partial<Position>,
  ): void {
    const name = `chat:${tableId}`
    const history = this.#log(name)
      .slice(-100)
      .map(({ message }) => message)
    peer.send({ type: 'ChatSubscribed', tableId, channel: name, ...this.position(name), ...more, history })
  }

  #has(name: string, since: Position): boolean {
    return since.epoch === this.epoch && since.seq + 1 >= this.oldest && since.seq <= this.#log(name).length
  }

  #replay(peer: Peer, name: string, since: Position): void {
    for (const message of this.#log(name).slice(since.seq)) peer.send(message)
  }

  #log(name: string): ChatMessage[] {
    const log = this.#logs.get(name) ?? []
    this.#logs.set(name, log)
    return log
  }
}
