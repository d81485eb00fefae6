import { type CallOrigin, currentOrigin, runWithOrigin } from '../call-origin.ts'
import { PublisherService } from '../gen/gateway/v1/publisher_pb.ts'
import { createGrpcClient } from '../grpc/grpc-client.ts'
import { createOutbox, type OutboxFailure } from './outbox.ts'
import type { Update, UpdatePublisher } from './update.ts'

export interface GatewayPublisherOptions {
  /** host:port of a gateway's internal gRPC port. */
  readonly address: string
  readonly onFailure: (failure: OutboxFailure) => void
}

/** Publishes through gateway.v1.PublisherService: no Redis needed. Each call has a deadline of 2 s. */
export function createGatewayPublisher(options: GatewayPublisherOptions): UpdatePublisher {
  const client = createGrpcClient(PublisherService, { address: options.address, timeoutMs: 2000 })
  const encoder = new TextEncoder()
  const outbox = createOutbox<Update & { readonly origin: CallOrigin }>({
    deliver: async ({ channel, tableId, payload, key, origin }) => {
      await runWithOrigin(origin, () =>
        client.publish({
          channel: channel === 'lobby' ? 'lobby' : `table:${tableId}`,
          payloadJson: encoder.encode(JSON.stringify(payload)),
          idempotencyKey: key,
        }),
      )
    },
    // The gateway takes a lobby a slot of time; the list that waits is replaced, or a busy lobby would lag behind for ever.
    isState: (channel) => channel.startsWith('lobby:'),
    maxPerChannel: 64,
    maxChannels: 2000,
    onFailure: options.onFailure,
  })
  return {
    publish: (update) =>
      outbox.push(`${update.channel}:${update.tableId}`, { ...update, origin: currentOrigin() }),
    depth: outbox.depth,
    close: async () => {
      outbox.close()
      client.close()
    },
  }
}
