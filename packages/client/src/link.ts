import { type Authenticate, type Position, retryAfterClose } from '@gw/protocol'
import { backoffDelay } from './backoff-delay.ts'
import type { ClientState, Failure, Incoming, StateChange } from './client-events.ts'
import type { Settings, TokenReason } from './client-options.ts'
import { Connection, type ConnectionEnd } from './connection.ts'

export interface LinkOptions {
  readonly settings: Settings
  /** Where each channel stands, asked at each new connection. */
  readonly resume: () => Record<string, Position>
  readonly onMessage: (message: Incoming) => void
  readonly onState: (change: StateChange) => void
  readonly onError: (failure: Failure) => void
}

/** One connection after the other: tokens, backoff, the server's hints, and what a close code means. Knows no subscriptions. */
export class Link {
  readonly #options: LinkOptions
  #state: ClientState = 'idle'
  #connection: Connection | undefined
  /** Of the next attempt, or of a move that the server asked for. */
  #timer: ReturnType<typeof setTimeout> | undefined
  #attempt = 0
  /** Tells an attempt that waits for its token that another has begun. */
  #round = 0
  #openedMs: number | undefined
  #notBeforeMs: number | undefined
  /** Of the last hello: what a close can refuse. */
  #token: string | undefined
  /** Until the next Welcome. */
  #refusedToken: string | undefined

  constructor(options: LinkOptions) {
    this.#options = options
  }

  get state(): ClientState {
    return this.#state
  }

  /** False when there is no open connection. */
  send(frame: string): boolean {
    return this.#state === 'open' && (this.#connection?.send(frame) ?? false)
  }

  /** Begins an attempt now, whatever is under way. */
  start(): void {
    if (this.#state === 'closed') return
    this.#letGo({ code: 1006, reason: 'reconnect' })
    void this.#begin()
  }

  /** Gives the connection up as broken, with a reason; the next attempt comes with backoff. */
  drop(reason: string): void {
    this.#connection?.end(reason)
  }

  /** Final. */
  close(end: ConnectionEnd): void {
    if (this.#state === 'closed') return
    this.#letGo(end)
    this.#setState('closed', end)
  }

  /** Hears no more of the connection, nor of the wait for the next. */
  #letGo({ code, reason }: ConnectionEnd): void {
    clearTimeout(this.#timer)
    const connection = this.#connection
    this.#connection = undefined
    connection?.end(reason, code)
  }

  #setState(state: ClientState, details: Omit<StateChange, 'state'> = {}): void {
    this.#state = state
    this.#options.onState({ state, ...details })
  }

  async #begin(): Promise<void> {
    const { settings, onError } = this.#options
    const round = ++this.#round
    this.#notBeforeMs = undefined
    this.#setState('connecting')
    const token = await this.#fetchToken(this.#refusedToken === undefined ? 'connect' : 'refused')
    // Another attempt, or the end, came while we waited.
    if (round !== this.#round || this.#state !== 'connecting') return
    if (token === undefined) return this.#retryLater({ code: 1006, reason: 'no_token' })
    if (token === this.#refusedToken) return this.close({ code: 1008, reason: 'token_refused' })
    this.#token = token
    const resume = this.#options.resume()
    const hello: Authenticate = {
      type: 'Authenticate',
      token,
      features: settings.features,
      ...(Object.keys(resume).length > 0 && { resume }),
    }
    try {
      this.#open(hello)
    } catch (error) {
      // A URL that is none stays none.
      onError({ stage: 'connect', error })
      this.close({ code: 1006, reason: 'connect_failed' })
    }
  }

  #open(hello: Authenticate): void {
    const { url, WebSocket, connectTimeoutMs: timeoutMs, now } = this.#options.settings
    const connection = new Connection({
      url: typeof url === 'string' ? url : url(),
      WebSocket,
      hello,
      timeoutMs,
      now,
      onMessage: (message) => {
        if (this.#connection === connection) this.#receive(message)
      },
      onEnd: (end) => {
        if (this.#connection === connection) this.#ended(end)
      },
    })
    this.#connection = connection
  }

  #receive(message: Incoming): void {
    const { settings, onMessage } = this.#options
    if (message.type === 'Welcome') {
      this.#refusedToken = undefined
      this.#openedMs = settings.now()
      this.#setState('open')
    } else if (message.type === 'Reconnect') {
      this.#notBeforeMs = settings.now() + message.afterMs
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.drop('moving'), message.afterMs)
    } else if (message.type === 'TokenExpiring') void this.#renewToken()
    onMessage(message)
  }

  async #renewToken(): Promise<void> {
    const token = await this.#fetchToken('expiring')
    // It may be refused, and the old one stays in force: which of the two ended a connection would be a guess.
    if (token !== undefined && token !== this.#token)
      this.send(JSON.stringify({ type: 'Authenticate', token }))
  }

  async #fetchToken(reason: TokenReason): Promise<string | undefined> {
    const { token, connectTimeoutMs } = this.#options.settings
    if (typeof token === 'string') return token
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error('The token provider gave no answer')), connectTimeoutMs)
    })
    try {
      return await Promise.race([token(reason), late])
    } catch (error) {
      this.#options.onError({ stage: 'token', error })
      return undefined
    } finally {
      clearTimeout(timer)
    }
  }

  #ended(end: ConnectionEnd): void {
    const { now, backoff } = this.#options.settings
    this.#connection = undefined
    clearTimeout(this.#timer)
    if (this.#openedMs !== undefined && now() - this.#openedMs >= backoff.stableMs) this.#attempt = 0
    this.#openedMs = undefined
    const retry = retryAfterClose(end.code)
    if (retry === 'never') return this.close(end)
    if (retry === 'new_token') this.#refusedToken = this.#token
    this.#retryLater(end)
  }

  #retryLater(end: ConnectionEnd): void {
    const { now, random, backoff } = this.#options.settings
    const hinted = this.#notBeforeMs
    const retryInMs =
      hinted === undefined
        ? backoffDelay(this.#attempt++, random(), backoff)
        : Math.max(0, Math.trunc(hinted - now()))
    this.#timer = setTimeout(() => void this.#begin(), retryInMs)
    this.#setState('waiting', { ...end, retryInMs })
  }
}
