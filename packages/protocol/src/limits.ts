/** The path of the WebSocket endpoint, exact. */
export const wsPath = '/ws'

/** Every bound of the wire. Lengths are UTF-16 units, `…Bytes` count UTF-8, `…Ms` milliseconds. */
export const limits = {
  /** A larger frame closes the socket with 1009. */
  maxPayloadBytes: 65_536,
  /** `id` of a client message. */
  maxIdLength: 64,
  /** `tableId`, `handId`, `userId`, `messageId`. */
  maxNameLength: 128,
  /** `channel` in `resume`. */
  maxChannelLength: 160,
  /** `epoch` of a position. */
  maxEpochLength: 64,
  /** A chat message after trimming. */
  maxChatLength: 500,
  /** Entries of a chat history page. */
  maxHistoryPage: 100,
  /** Channels in one `resume`. */
  maxResumeChannels: 200,
  /** Users in one `SubscribePresence`. */
  maxPresenceUsers: 200,
  /** Words in `features`. */
  maxFeatures: 32,
  /** From the upgrade to a good `Authenticate`. */
  authTimeoutMs: 5_000,
  /** Frames held before Welcome. */
  maxEarlyFrames: 32,
  /** Bytes held before Welcome. */
  maxEarlyBytes: 65_536,
  /** How long an `id` of a change (Action, ChatSend, JoinSeat, LeaveTable) is remembered per user. */
  idempotencyMs: 600_000,
  /** Seats are numbered 0 to this. */
  maxSeatId: 8,
} as const

/** The subprotocol that the server selects when a client offers it; `bearer.<token>` offered beside it authenticates. */
export const subprotocol = 'gw.v1'

/** Prefix of an offered subprotocol that carries the token (a browser can set no `Authorization` header). */
export const bearerSubprotocolPrefix = 'bearer.'
