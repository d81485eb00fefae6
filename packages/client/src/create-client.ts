import { limits, presenceChannel, type Position, type ServerMessage, type Welcome } from '@gw/protocol'
import { ChannelTracker, type Verdict } from './channel-tracker.ts'
import { ClientError } from './client-error.ts'
import {
  type ClientEvents,
  type ClientState,
  Emitter,
  type Incoming,
  type Lost,
  type StateChange,
} from './client-events.ts'
import { type ClientOptions, type Settings, toSettings } from './client-options.ts'
import { Link } from './link.ts'
import {
  failure,
  PendingRequests,
  type RequestMessage,
  type RequestResult,
  toResult,
} from './pending-requests.ts'
import { endedChannel, recoveryOf, Wishes } from './wishes.ts'

/** A connection to the gateway that comes back: subscriptions, positions and unanswered requests survive the socket. */
export interface Client {
  readonly state: ClientState
  /** Known from the first Welcome on. */
  readonly userId: string | undefined
  /** Starts; true when Welcome comes, false when the client ends before. Throws `closed` after the end. */
  connect(): Promise<boolean>
  /** Gives up the socket and connects anew at once, e.g. when the browser says that it is online again. */
  reconnect(): void
  /** Final: ends the socket, fails the waiting requests with `closed`. */
  close(): void
  /** Gives the function that ends it. */
  on<E extends keyof ClientEvents>(name: E, listener: (event: ClientEvents[E]) => void): () => void
  /**
   * Asks, over reconnects, until `timeoutMs` (default `requestTimeoutMs`). Never rejects. A message with an `id` that waits
   * already is not sent twice: both get the one answer. Another message under that id fails with `conflict`.
   */
  request<M extends RequestMessage>(message: M, timeoutMs?: number): Promise<RequestResult<M['type']>>
  /** Writes a message that needs no answer, such as SetTyping; false when there is no connection. */
  send(message: RequestMessage): boolean
  /** The last position handled in each channel. */
  positions(): Readonly<Record<string, Position>>
}

/** Makes a client; it does nothing before `connect`. Throws `no_web_socket` or `invalid_options`. */
export function createClient(options: ClientOptions): Client {
  return new GatewayClient(toSettings(options))
}

/** Between two attempts to have a channel again, where the server names no time. */
const retryMs = 1000

/** One attempt to have a channel again, and the wait before the next. */
interface Recovery {
  readonly id: string
  timer?: ReturnType<typeof setTimeout>
}

class GatewayClient implements Client {
  readonly #settings: Settings
  readonly #emitter = new Emitter()
  readonly #tracker = new ChannelTracker()
  readonly #wishes = new Wishes()
  /** The caller's. They outlive a connection. */
  readonly #pending: PendingRequests
  /** What restores subscriptions and wishes. It ends with its connection: the next one asks anew, from where it stands. */
  readonly #own: PendingRequests
  /** Of this connection, at most one for a channel. */
  readonly #recoveries = new Map<string, Recovery>()
  readonly #link: Link
  readonly #idPrefix: string
  #lastId = 0
  #userId: string | undefined
  #resuming = false
  #resumeTimer: ReturnType<typeof setTimeout> | undefined

  constructor(settings: Settings) {
    this.#settings = settings
    this.#link = new Link({
      settings,
      resume: () => {
        const positions = this.#tracker.positions()
        this.#resuming = Object.keys(positions).length > 0
        return positions
      },
      onMessage: (message) => this.#receive(message),
      onState: (change) => this.#changed(change),
      onError: (error) => this.#emitter.emit('error', error),
    })
    const write = (frame: string): boolean => this.#link.send(frame)
    this.#pending = new PendingRequests({ max: settings.maxPending, write })
    this.#own = new PendingRequests({ max: Infinity, write })
    // An id is one thing for all devices of a user and for 10 minutes, so it must not collide with another client's.
    const random = crypto.getRandomValues(new Uint32Array(3))
    this.#idPrefix = Array.from(random, (part) => part.toString(36)).join('')
  }

  get state(): ClientState {
    return this.#link.state
  }

  get userId(): string | undefined {
    return this.#userId
  }

  connect(): Promise<boolean> {
    if (this.state === 'closed') throw new ClientError('closed', 'This client was closed')
    if (this.state === 'open') return Promise.resolve(true)
    const outcome = new Promise<boolean>((resolve) => {
      const off = this.on('state', ({ state }) => {
        if (state !== 'open' && state !== 'closed') return
        off()
        resolve(state === 'open')
      })
    })
    if (this.state === 'idle') this.#link.start()
    return outcome
  }

  reconnect(): void {
    if (this.state !== 'idle') this.#link.start()
  }

  close(): void {
    this.#link.close({ code: 1000, reason: 'closed' })
  }

  on<E extends keyof ClientEvents>(name: E, listener: (event: ClientEvents[E]) => void): () => void {
    return this.#emitter.on(name, listener)
  }

  request<M extends RequestMessage>(message: M, timeoutMs?: number): Promise<RequestResult<M['type']>> {
    return this.#ask(message, this.#pending, timeoutMs)
  }

  /** `among`: the caller's requests, or our own, for which there is always room. */
  async #ask<M extends RequestMessage>(
    message: M,
    among: PendingRequests,
    timeoutMs: number = this.#settings.requestTimeoutMs,
  ): Promise<RequestResult<M['type']>> {
    if (this.state === 'closed') return failure('closed', 'This client was closed', false)
    const id = message.id ?? this.#nextId()
    const frame = JSON.stringify({ ...message, id })
    if (new TextEncoder().encode(frame).length > limits.maxPayloadBytes)
      return failure('payload_too_large', `A message is at most ${limits.maxPayloadBytes} bytes`, false)
    const refusal = among.refusal(id, frame)
    if (refusal) return refusal
    const ended = endedChannel(message)
    if (ended !== undefined) this.#forget(ended)
    this.#wishes.note(message)
    const answer = await among.add(id, frame, timeoutMs)
    // Again: the answer to a subscribe that was on its way may have come in between.
    if (ended !== undefined) this.#forget(ended)
    return toResult<M['type']>(message.type, answer)
  }

  #nextId(): string {
    return `${this.#idPrefix}-${++this.#lastId}`
  }

  send(message: RequestMessage): boolean {
    return this.#link.send(JSON.stringify(message))
  }

  positions(): Readonly<Record<string, Position>> {
    return this.#tracker.positions()
  }

  #changed(change: StateChange): void {
    // Before anyone hears of the new connection and asks something on it.
    if (change.state === 'open') this.#pending.resend()
    else {
      clearTimeout(this.#resumeTimer)
      this.#tracker.disconnected()
      this.#own.cancelAll()
      for (const channel of this.#recoveries.keys()) this.#endRecovery(channel)
    }
    this.#emitter.emit('state', change)
    if (change.state === 'closed') this.#pending.cancelAll()
  }

  #receive(message: Incoming): void {
    const verdict = this.#tracker.judge(message)
    if (typeof verdict === 'object') return this.#fill(verdict, message)
    if (message.type === '(other)') {
      if (verdict === 'deliver') this.#emitter.emit('other', message.message)
      return
    }
    if (verdict === 'deliver') this.#handle(message)
    this.#pending.answer(message)
    this.#own.answer(message)
    if (verdict === 'deliver') this.#emitter.emitMessage(message)
  }

  #handle(message: ServerMessage): void {
    if (message.type === 'Welcome') this.#welcomed(message)
    else if (message.type === 'Resumed') {
      clearTimeout(this.#resumeTimer)
      const { lost, gaps, again } = this.#tracker.resumed(message)
      for (const event of lost) this.#lose(event)
      for (const event of gaps) this.#emitter.emit('gap', event)
      for (const channel of again) void this.#recover(channel)
    } else if (message.type === 'Reset') {
      this.#tracker.reset(message.channel)
      this.#emitter.emit('gap', { channel: message.channel, reason: 'reset' })
    } else if ('recovered' in message && !message.recovered && message.channel !== undefined)
      this.#emitter.emit('gap', { channel: message.channel, reason: 'not_recovered' })
  }

  #welcomed({ userId, features }: Welcome): void {
    this.#userId = userId
    for (const message of this.#wishes.restore()) void this.#wish(message)
    const subscribe = (): void => {
      for (const channel of this.#tracker.names()) void this.#recover(channel)
    }
    // A server that grants features answers a resume before anything else; one that does not answer is asked channel by channel.
    if (this.#resuming && features) this.#resumeTimer = setTimeout(subscribe, this.#settings.connectTimeoutMs)
    else subscribe()
  }

  /** People whose status can't be had again are told as lost. */
  async #wish(message: RequestMessage): Promise<void> {
    const result = await this.#ask(message, this.#own)
    if (result.ok || result.code === 'closed' || message.type !== 'SubscribePresence') return
    for (const userId of message.userIds) this.#lose({ channel: presenceChannel(userId), code: result.code })
  }

  /** Fetches what is missing before a message; where that cannot be, says so and goes on from the message. */
  #fill({ channel, gap }: Exclude<Verdict, string>, message: Incoming): void {
    this.#emitter.emit('gap', { channel, reason: gap })
    if (recoveryOf(channel)) {
      this.#tracker.setRecovering(channel, true)
      void this.#recover(channel)
    } else {
      this.#tracker.reset(channel)
      this.#receive(message)
    }
  }

  /** Subscribes again from where the channel stands, and again while that may help and the connection lasts. */
  async #recover(channel: string): Promise<void> {
    const message = recoveryOf(channel, this.#tracker.positionOf(channel))
    // A listener that was told just before may have ended the connection.
    if (!message || this.state !== 'open') return
    this.#endRecovery(channel)
    const id = this.#nextId()
    const recovery: Recovery = { id }
    this.#recoveries.set(channel, recovery)
    const result = await this.#ask({ ...message, id }, this.#own)
    if (result.ok || this.#recoveries.get(channel) !== recovery) return
    if (result.retryable)
      recovery.timer = setTimeout(() => void this.#recover(channel), result.retryAfterMs ?? retryMs)
    else this.#lose({ channel, code: result.code })
  }

  #lose(lost: Lost): void {
    this.#forget(lost.channel)
    this.#emitter.emit('lost', lost)
  }

  #endRecovery(channel: string): void {
    const { id = '', timer } = this.#recoveries.get(channel) ?? {}
    clearTimeout(timer)
    this.#own.cancel(id)
    this.#recoveries.delete(channel)
  }

  #forget(channel: string): void {
    this.#endRecovery(channel)
    this.#tracker.forget(channel)
  }
}
