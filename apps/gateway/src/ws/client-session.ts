/** What a message handler sees of the socket that a message came from. */
import type { Identity } from '@gw/auth'
import type { Connection } from '@gw/connections'
import type {
  Ack,
  ActionResult,
  ChatError,
  ChatHistory,
  ErrorMessage,
  Feature,
  Pong,
  ServerMessage,
} from '@gw/protocol'

export interface ClientSession {
  readonly connectionId: string
  readonly userId: string
  readonly identity: Identity
  /** Client address in canonical form, for limits. */
  readonly address: string
  readonly clientType: 'web' | 'mobile'
  readonly features: ReadonlySet<Feature>
  readonly connection: Connection
  send(message: ServerMessage): void
}

/**
 * A handler's answer: a message, `answered` when it sent its own, undefined when the contract has none (those who asked
 * for acknowledgements then get an `Ack`).
 */
export type Reply =
  | Ack
  | ActionResult
  | ChatError
  | ChatHistory
  | ErrorMessage
  | Pong
  | 'answered'
  | undefined
