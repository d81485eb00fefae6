import { create, type MessageShape } from '@bufbuild/protobuf'
import { type sendUnaryData, Server, ServerCredentials, type ServerUnaryCall, status } from '@grpc/grpc-js'
import * as z from 'zod'
import {
  type PublishRequest,
  type PublishResponse,
  PublishResponseSchema,
  PublisherService,
} from '../src/gen/gateway/v1/publisher_pb.ts'
import { methodDefinition } from '../src/grpc/service-definition.ts'

const snapshotSchema = z.object({
  type: z.string(),
  tableState: z
    .object({
      version: z.number(),
      status: z.string(),
      hand: z
        .object({
          endedAt: z.string().nullable(),
          street: z.string(),
          winners: z.array(z.number()).optional(),
        })
        .nullable(),
    })
    .optional(),
})

/** One accepted publication. */
export interface Published {
  readonly channel: string
  readonly key: string
  readonly payload: z.infer<typeof snapshotSchema>
  /** The payload as it came. */
  readonly raw: unknown
}

/** A small real gateway.v1.PublisherService: keeps what it accepts, once per key; the next calls can be made to fail. */
export class PublisherServer implements AsyncDisposable {
  readonly published: Published[] = []
  readonly refusals: { code: status; count: number }[] = []
  readonly #server = new Server()
  #waiting: (() => void)[] = []

  /** The port; 0 picks one. */
  async listen(port: number = 0): Promise<number> {
    const definition = { publish: methodDefinition(PublisherService.method.publish) }
    this.#server.addService(definition, {
      publish: (
        call: ServerUnaryCall<PublishRequest, PublishResponse>,
        callback: sendUnaryData<PublishResponse>,
      ) => {
        const [refusal] = this.refusals
        if (refusal) {
          if (--refusal.count <= 0) this.refusals.shift()
          return callback({ code: refusal.code, details: 'refused by the test' })
        }
        callback(null, this.#accept(call.request))
      },
    })
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      )
    })
  }

  /** Resolves with the first publication, past or future, that fits. */
  async waitFor(fits: (published: Published) => boolean): Promise<Published> {
    for (;;) {
      const found = this.published.find(fits)
      if (found) return found
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown()
  }

  #accept(request: PublishRequest): MessageShape<typeof PublishResponseSchema> {
    const { channel, idempotencyKey: key } = request
    const duplicate = this.published.some((published) => published.key === key)
    const raw: unknown = JSON.parse(new TextDecoder().decode(request.payloadJson))
    const payload = snapshotSchema.parse(raw)
    if (!duplicate) this.published.push({ channel, key, payload, raw })
    for (const wake of this.#waiting.splice(0)) wake()
    return create(PublishResponseSchema, {
      channel,
      epoch: 'e',
      seq: BigInt(this.published.length),
      duplicate,
    })
  }
}
