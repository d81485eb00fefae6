/** Sends a message to a channel's subscribers, to all sockets of a user, or to everybody: on every instance, in one order. */
import { allChannel, limits, parseChannel, type ServerMessage, userChannel } from '@gw/protocol'
import type { Broker, PublishOptions, PublishResult } from '@gw/pubsub'
import { GatewayError } from '../errors.ts'

/** What is sent: a message of the wire, or a JSON object with a `type` as a backend wrote it. */
export type Broadcast = ServerMessage | Uint8Array

export interface BroadcastService {
  /**
   * Resolves with the position when the message is in the channel's log; every subscriber on every instance gets it once.
   * Rejects with `invalid_request`, or with `unavailable`: then repeat it with the same idempotency key.
   */
  broadcastToChannel(channel: string, message: Broadcast, options?: PublishOptions): Promise<PublishResult>
  /** To all sockets that the user has, on every instance. */
  broadcastToUser(userId: string, message: Broadcast, options?: PublishOptions): Promise<PublishResult>
  /** To every socket of the fleet. */
  broadcastToAll(message: Broadcast, options?: PublishOptions): Promise<PublishResult>
}

const maxKeyLength = 128

function isMessageObject(payload: Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
    return (
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      'type' in value &&
      typeof value.type === 'string'
    )
  } catch {
    return false
  }
}

function bytesOf(message: Broadcast): Buffer {
  return message instanceof Uint8Array
    ? Buffer.from(message.buffer, message.byteOffset, message.byteLength)
    : Buffer.from(JSON.stringify(message))
}

function check(channel: string, data: Buffer, key: string): void {
  const invalid = (message: string): never => {
    throw new GatewayError('invalid_request', message)
  }
  if (!parseChannel(channel)) invalid(`unknown channel: ${channel.slice(0, 64)}`)
  if (data.length > limits.maxPayloadBytes) invalid(`the payload is over ${limits.maxPayloadBytes} bytes`)
  if (key.length > maxKeyLength) invalid(`the idempotency key is over ${maxKeyLength} characters`)
  if (!isMessageObject(data)) invalid('the payload must be a JSON object with a string "type"')
}

function isInvalid(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'invalid'
}

/** `broker` takes what is published, such as the way in of what backends publish. */
export function createBroadcastService(broker: Pick<Broker, 'publish'>): BroadcastService {
  const service: BroadcastService = {
    async broadcastToChannel(channel, message, options = {}) {
      const data = bytesOf(message)
      check(channel, data, options.idempotencyKey ?? '')
      try {
        return await broker.publish(channel, data, options)
      } catch (error) {
        if (isInvalid(error)) throw new GatewayError('invalid_request', 'invalid channel', { cause: error })
        throw new GatewayError('unavailable', undefined, { cause: error, retryAfterMs: 1000 })
      }
    },
    broadcastToUser: (userId, message, options) =>
      service.broadcastToChannel(userChannel(userId), message, options),
    broadcastToAll: (message, options) => service.broadcastToChannel(allChannel, message, options),
  }
  return service
}
