/**
 * Every `code` of an `Error` message. The first group is about the message itself, the second is the gateway's table of
 * failures, `refused` is a service's "no" whose own word (`SEAT_NOT_AVAILABLE`, …) stands in `message`.
 */
export const errorCodes = [
  'invalid_message',
  'unknown_type',
  'feature_required',
  'too_many_subscriptions',
  'invalid_request',
  'auth_denied',
  'forbidden',
  'not_found',
  'conflict',
  'payload_too_large',
  'rate_limited',
  'cancelled',
  'internal',
  'unimplemented',
  'bad_gateway',
  'unavailable',
  'timeout',
  'refused',
] as const

/** The closed union of the wire's error codes. */
export type ErrorCode = (typeof errorCodes)[number]

/** Why a chat message was refused: the `reason` of a `ChatError`, shown as it is by today's web client. */
export const chatErrorReasons = [
  'empty_message',
  'message_too_long',
  'rate_limited',
  'not_seated',
  'muted',
  'blocked',
  'unavailable',
] as const

/** The closed union of the reasons of `ChatError`. */
export type ChatErrorReason = (typeof chatErrorReasons)[number]

/** The gateway's own reasons of a refused `Action`; a reason in capitals is the game's word. */
export const actionReasons = [
  'rate_limited',
  'invalid_action',
  'missing_amount',
  'stale_hand',
  'unavailable',
  'internal_error',
] as const

/** The gateway's own reasons of a refused `Action`. */
export type ActionReason = (typeof actionReasons)[number]

/** Why a channel's continuity was lost. */
export const resetReasons = ['epoch', 'trimmed', 'overflow', 'too_slow'] as const

/** The closed union of the reasons of `Reset`. */
export type ResetReason = (typeof resetReasons)[number]

/** Why a server asks its clients to reconnect. */
export const reconnectReasons = ['drain', 'rebalance'] as const

/** The closed union of the reasons of `Reconnect`. */
export type ReconnectReason = (typeof reconnectReasons)[number]

/** What a user can be, over all of their connections. */
export const presenceStatuses = ['online', 'away', 'offline'] as const

/** The closed union of a user's statuses. */
export type PresenceStatus = (typeof presenceStatuses)[number]
