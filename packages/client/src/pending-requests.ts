import type {
  ChatErrorReason,
  ClientMessage,
  ErrorCode,
  ServerMessage,
  ServerMessageType,
} from '@gw/protocol'
import { maxTimerMs } from './client-options.ts'

/** Everything that can be asked; connecting and renewing the token is the client's own business. */
export type RequestMessage = Exclude<ClientMessage, { type: 'Authenticate' }>

/** The `type` of what can be asked. */
export type RequestType = RequestMessage['type']

/** What answers a request when it went well; what is not named is answered with `Ack`. */
const replyTypes = {
  SubscribeTable: 'TableSnapshot',
  ResyncTable: 'TableSnapshot',
  Action: 'ActionResult',
  SubscribeChat: 'ChatSubscribed',
  GetChatHistory: 'ChatHistory',
  SubscribeLobby: 'LobbyTablesUpdated',
  SubscribePresence: 'PresenceSnapshot',
  Ping: 'Pong',
} as const

type ReplyTypes = typeof replyTypes

/** The message that answers a request of type `T`. */
export type ReplyTo<T extends RequestType> = Extract<
  ServerMessage,
  { type: T extends keyof ReplyTypes ? ReplyTypes[T] : 'Ack' }
>

/**
 * Why a request failed: the server's word, or the client's own. Of its own, `queue_full` says that nothing was sent; after
 * `timeout` and `closed` it may have been done all the same.
 */
export type RequestFailureCode =
  | ErrorCode
  | ChatErrorReason
  | 'timeout'
  | 'closed'
  | 'queue_full'
  | 'unexpected_reply'

/** A request that failed. */
export interface RequestFailure {
  readonly ok: false
  readonly code: RequestFailureCode
  readonly message: string
  readonly retryable: boolean
  readonly retryAfterMs?: number
}

/** What became of a request. */
export type RequestResult<T extends RequestType> =
  | { readonly ok: true; readonly reply: ReplyTo<T> }
  | RequestFailure

interface Pending {
  readonly frame: string
  /** Of all who asked for it under its id. */
  readonly settles: Set<(answer: ServerMessage | RequestFailure) => void>
  retry: ReturnType<typeof setTimeout> | undefined
}

export interface PendingOptions {
  readonly max: number
  /** Writes a frame if there is a connection. */
  readonly write: (frame: string) => void
}

/** Requests that wait for their answer, in the order asked. They survive a lost connection: `resend` writes them again, with their ids. */
export class PendingRequests {
  readonly #pending = new Map<string, Pending>()
  readonly #options: PendingOptions

  constructor(options: PendingOptions) {
    this.#options = options
  }

  /** Why a request cannot be added. Ask before anything is done for it: what is refused was never sent. */
  refusal(id: string, frame: string): RequestFailure | undefined {
    const known = this.#pending.get(id)
    if (known)
      return known.frame === frame
        ? undefined
        : failure('conflict', 'Another message waits under this id', false)
    if (this.#pending.size >= this.#options.max)
      return failure('queue_full', 'Too many requests are waiting', true)
    return undefined
  }

  /**
   * Writes the request and resolves with the answer, or a failure; never rejects. One that waits already is not written
   * again: who repeats it gets the same answer, within a time of its own.
   */
  add(id: string, frame: string, timeoutMs: number): Promise<ServerMessage | RequestFailure> {
    const known = this.#pending.get(id)
    const pending = known ?? { frame, settles: new Set(), retry: undefined }
    const answered = new Promise<ServerMessage | RequestFailure>((resolve) => {
      const settle = (answer: ServerMessage | RequestFailure): void => {
        clearTimeout(timer)
        pending.settles.delete(settle)
        resolve(answer)
      }
      const timer = setTimeout(
        () => {
          settle(failure('timeout', `No answer in ${timeoutMs} ms`, true))
          if (pending.settles.size === 0) this.#end(id)
        },
        Math.min(timeoutMs, maxTimerMs),
      )
      pending.settles.add(settle)
    })
    this.#pending.set(id, pending)
    if (!known) this.#options.write(frame)
    return answered
  }

  /** Ends the request that the message answers. A retryable refusal is asked again while the request's time lasts. */
  answer(message: ServerMessage): void {
    const { id = '' } = 'id' in message ? message : {}
    const pending = this.#pending.get(id)
    const refusal = refusalIn(message)
    // Rates are the caller's affair: to knock again by ourselves would only make it worse.
    if (pending && refusal?.retryable && refusal.code !== 'rate_limited') {
      clearTimeout(pending.retry)
      pending.retry = setTimeout(() => this.#options.write(pending.frame), refusal.retryAfterMs ?? 500)
    } else this.#settle(id, message)
  }

  resend(): void {
    for (const { frame } of this.#pending.values()) this.#options.write(frame)
  }

  /** Fails it with `closed`; an id that does not wait is no mistake. */
  cancel(id: string): void {
    this.#settle(id, failure('closed', 'This client was closed', false))
  }

  cancelAll(): void {
    for (const id of this.#pending.keys()) this.cancel(id)
  }

  #settle(id: string, answer: ServerMessage | RequestFailure): void {
    for (const settle of this.#end(id)?.settles ?? []) settle(answer)
  }

  #end(id: string): Pending | undefined {
    const pending = this.#pending.get(id)
    clearTimeout(pending?.retry)
    this.#pending.delete(id)
    return pending
  }
}

/** Builds a failed result. */
export function failure(code: RequestFailureCode, message: string, retryable: boolean): RequestFailure {
  return { ok: false, code, message, retryable }
}

/** Turns an answer into the result of a request of type `T`. */
export function toResult<T extends RequestType>(
  type: T,
  answer: ServerMessage | RequestFailure,
): RequestResult<T> {
  if ('ok' in answer) return answer
  if (isReply(type, answer)) return { ok: true, reply: answer }
  return refusalIn(answer) ?? failure('unexpected_reply', `${type} was answered with ${answer.type}`, false)
}

function refusalIn(message: ServerMessage): RequestFailure | undefined {
  if (message.type !== 'Error' && message.type !== 'ChatError') return undefined
  const { retryAfterMs } = message
  const refusal =
    message.type === 'Error'
      ? failure(message.code ?? 'refused', message.message, message.retryable ?? false)
      : failure(message.reason, message.reason, ['rate_limited', 'unavailable'].includes(message.reason))
  return retryAfterMs === undefined ? refusal : { ...refusal, retryAfterMs }
}

function isReply<T extends RequestType>(type: T, message: ServerMessage): message is ReplyTo<T> {
  const expected: Partial<Record<RequestType, ServerMessageType>> = replyTypes
  return message.type === (expected[type] ?? 'Ack')
}
