import { randomUUID } from 'node:crypto'
import type { JsonObject } from '@bufbuild/protobuf'
import { EventService } from '../gen/event/event_pb.ts'
import { createGrpcClient } from '../grpc/grpc-client.ts'
import { createOutbox } from '../publish/outbox.ts'

/** Something that happened at a table. */
export interface AuditEvent {
  readonly type: string
  readonly tableId: string
  readonly handId?: string
  readonly userId?: string
  readonly seatId?: number
  readonly payload: JsonObject
}

/** Where Game reports what happened. Never blocks play; events are lost when Event stays away too long. */
export interface AuditTrail {
  readonly record: (event: AuditEvent) => void
  readonly close: () => void
}

export interface AuditTrailOptions {
  /** host:port of Event's gRPC service. */
  readonly address: string
  readonly onError: (error: unknown, what: string) => void
}

/** Sends events to Event by gRPC, in order per table, each once: a retry carries the same key. */
export function createAuditTrail(options: AuditTrailOptions): AuditTrail {
  const client = createGrpcClient(EventService, { address: options.address, timeoutMs: 1500 })
  const outbox = createOutbox<AuditEvent & { readonly key: string }>({
    deliver: async ({ key: idempotencyKey, ...event }) => {
      await client.publishEvent({ ...event, idempotencyKey })
    },
    maxPerChannel: 1000,
    maxChannels: 1000,
    onFailure: (failure) => options.onError(failure.error, `event ${failure.outcome}`),
  })
  return {
    record: (event) => outbox.push(event.tableId, { ...event, key: randomUUID() }),
    close: () => {
      outbox.close()
      client.close()
    },
  }
}
