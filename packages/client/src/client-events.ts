import type { OtherMessage, ServerMessage, ServerMessageType } from '@gw/protocol'

/** What a frame can hold. */
export type Incoming = ServerMessage | OtherMessage

/**
 * ```
 * idle ─connect()─► connecting ─Welcome─► open
 *                     ▲   │ failed          │ lost
 *                     └ waiting ◄───────────┘      close(), or a close that is final ─► closed
 * ```
 */
export type ClientState = 'idle' | 'connecting' | 'open' | 'waiting' | 'closed'

/** The state changed. `code` and `reason` say why a connection ended; `retryInMs` when the next attempt begins. */
export interface StateChange {
  readonly state: ClientState
  readonly code?: number
  readonly reason?: string
  readonly retryInMs?: number
}

/** Messages of a channel may be missing. A snapshot or the missing messages follow where the channel has them. */
export interface Gap {
  readonly channel: string
  readonly reason: 'hole' | 'epoch' | 'reset' | 'not_recovered'
}

/** A subscription could not be restored. */
export interface Lost {
  readonly channel: string
  readonly code: string
}

/** Something failed that no caller waits for; `listener`: what one of the listeners threw. */
export interface Failure {
  readonly stage: 'token' | 'connect' | 'listener'
  readonly error: unknown
}

/**
 * What can be listened to: every server message by its type, all of them as `message`, those of a type that this version
 * does not know (the platform's own in `user:` and `all`) as `other`, and the client's own events.
 */
export type ClientEvents = {
  readonly [T in ServerMessageType]: Extract<ServerMessage, { type: T }>
} & {
  readonly message: ServerMessage
  readonly other: OtherMessage['message']
  readonly state: StateChange
  readonly gap: Gap
  readonly lost: Lost
  readonly error: Failure
}

/** Typed listeners. What one of them throws reaches `error` and stops nobody. */
export class Emitter {
  readonly #listeners = new Map<keyof ClientEvents, Set<(event: never) => void>>()

  /** Gives the function that ends it. */
  on<E extends keyof ClientEvents>(name: E, listener: (event: ClientEvents[E]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => listeners.delete(listener)
  }

  /** To the listeners of its type, and to those of `message`. */
  emitMessage(message: ServerMessage): void {
    this.emit(message.type, message)
    this.emit('message', message)
  }

  emit<E extends keyof ClientEvents>(name: E, event: ClientEvents[E]): void {
    for (const listener of this.#listeners.get(name) ?? []) {
      try {
        // `on` puts under a name only listeners of its event, which a map's type cannot say.
        listener(event as never)
      } catch (error) {
        if (name !== 'error') this.emit('error', { stage: 'listener', error })
      }
    }
  }
}
