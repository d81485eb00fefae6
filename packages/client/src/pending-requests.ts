import type {
  ChatErrorReason,
  ClientMessage,
  ErrorCode,
  ServerMessage,
  ServerMessageType,
} from '@gw/protocol'

/** Everything that can be asked; connecting and renewing the token is the client's own business. */
export type RequestMessage = Exclude<ClientMessage, { type: 'Authenticate' }>

/** The `type` of what can be asked. */
export type RequestType = RequestMessage['type']

/** What answers a request when it went well. */
export const replyTypes = {
  SubscribeTable: 'TableSnapshot',
  ResyncTable: 'TableSnapshot',
  UnsubscribeTable: 'Ack',
  JoinSeat: 'Ack',
  LeaveTable: 'Ack',
  Action: 'ActionResult',
  SubscribeChat: 'ChatSubscribed',
  UnsubscribeChat: 'Ack',
  ChatSend: 'Ack',
  GetChatHistory: 'ChatHistory',
  DeleteChatMessage: 'Ack',
  SetTyping: 'Ack',
  SubscribeLobby: 'LobbyTablesUpdated',
  UnsubscribeLobby: 'Ack',
  SubscribePresence: 'PresenceSnapshot',
  UnsubscribePresence: 'Ack',
  SetAway: 'Ack',
  Ping: 'Pong',
} as const

/** The message that answers a request of type `T`. */
export type ReplyTo<T extends RequestType> = Extract<ServerMessage, { type: (typeof replyTypes)[T] }>

/** Why a request failed: the server's word, or the client's own. After `timeout` and `closed` it may have been done all the same. */
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
  readonly settle: (answer: ServerMessage | RequestFailure) => void
  readonly timer: ReturnType<typeof setTimeout>
  retry: ReturnType<typeof setTimeout> | undefined
}

export interface PendingOptions {
  readonly max: number
  /** Writes a frame if there is a connection. */
  readonly write: (frame: string) => void
}

/** Requests that wait for their answer, in the order asked. They survive a lost connection: the next one sends them again, with their ids. */
export class PendingRequests {
  readonly #pending = new Map<string, Pending>()
  readonly #options: PendingOptions

  constructor(options: PendingOptions) {
    this.#options = options
  }

  /** Resolves with the answer, or a failure; never rejects. */
  add(id: string, frame: string, timeoutMs: number): Promise<ServerMessage | RequestFailure> {
    if (this.#pending.size >= this.#options.max)
      return Promise.resolve(failure('queue_full', 'Too many requests are waiting', true))
    return new Promise((resolve) => {
      const expire = (): void => this.#settle(id, failure('timeout', `No answer in ${timeoutMs} ms`, true))
      const timer = setTimeout(expire, timeoutMs)
      this.#pending.set(id, { frame, settle: resolve, timer, retry: undefined })
    })
  }

  /** True when the message answers a request. A retryable refusal is asked again while the request's time lasts. */
  answer(message: ServerMessage): boolean {
    const id = 'id' in message ? message.id : undefined
    const pending = id === undefined ? undefined : this.#pending.get(id)
    if (id === undefined || !pending) return false
    if (isRetryable(message)) {
      clearTimeout(pending.retry)
      pending.retry = setTimeout(() => this.#options.write(pending.frame), message.retryAfterMs ?? 500)
    } else this.#settle(id, message)
    return true
  }

  resend(): void {
    for (const { frame } of this.#pending.values()) this.#options.write(frame)
  }

  failAll(code: 'closed', message: string): void {
    for (const id of this.#pending.keys()) this.#settle(id, failure(code, message, false))
  }

  #settle(id: string, answer: ServerMessage | RequestFailure): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    this.#pending.delete(id)
    clearTimeout(pending.timer)
    clearTimeout(pending.retry)
    pending.settle(answer)
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
  const after = 'retryAfterMs' in answer &&
    answer.retryAfterMs !== undefined && { retryAfterMs: answer.retryAfterMs }
  if (answer.type === 'Error')
    return { ...failure(answer.code ?? 'refused', answer.message, answer.retryable ?? false), ...after }
  if (answer.type === 'ChatError') {
    const retryable = answer.reason === 'rate_limited' || answer.reason === 'unavailable'
    return { ...failure(answer.reason, answer.reason, retryable), ...after }
  }
  return isReply(type, answer)
    ? { ok: true, reply: answer }
    : failure('unexpected_reply', `${type} was answered with ${answer.type}`, false)
}

function isReply<T extends RequestType>(type: T, message: ServerMessage): message is ReplyTo<T> {
  const expected: ServerMessageType = replyTypes[type]
  return message.type === expected
}

type Retryable = Extract<ServerMessage, { type: 'Error' | 'ChatError' }>

// Rates are the caller's affair: to knock again by ourselves would only make it worse.
function isRetryable(message: ServerMessage): message is Retryable {
  if (message.type === 'Error') return message.retryable === true && message.code !== 'rate_limited'
  return message.type === 'ChatError' && message.reason === 'unavailable'
}
