import type { NotifyService } from '../gen/notify/notify_pb.ts'
import type { Handlers } from '../grpc/grpc-server.ts'
import type { IdempotencyCache } from '../idempotency.ts'
import type { Subscriptions } from './subscriptions.ts'

const minuteMs = 60_000

export interface NotifyServiceOptions {
  readonly subscriptions: Subscriptions
  readonly idempotency: IdempotencyCache
}

/**
 * notify.NotifyService. Refusals are `ok: false` with a sentence in `error`. SendNotification answers with the number of
 * subscriptions it would reach: there is no push network behind the demo.
 */
export function createNotifyService(options: NotifyServiceOptions): Handlers<typeof NotifyService> {
  const { subscriptions, idempotency } = options
  const once = <T extends { readonly ok: boolean }>(rpc: string, key: string, run: () => T): Promise<T> =>
    idempotency.once({ rpc, key, ttlMs: minuteMs, isKept: (answer) => answer.ok, run })
  return {
    registerSubscription: (request) =>
      once('RegisterSubscription', request.idempotencyKey, () => {
        const { endpoint = '', keys } = request.subscription ?? {}
        if (isBlank(request.userId)) return refuse('user_id is required')
        if (!URL.canParse(endpoint)) return refuse('endpoint is required')
        if (!keys || isBlank(keys.p256dh) || isBlank(keys.auth))
          return refuse('keys.p256dh and keys.auth are required')
        const { p256dh, auth } = keys
        const isAdded = subscriptions.add(request.userId, { endpoint, keys: { p256dh, auth } })
        return isAdded ? { ok: true } : refuse('too many subscribers')
      }),
    unregisterSubscription: (request) =>
      once('UnregisterSubscription', request.idempotencyKey, () => {
        if (isBlank(request.userId)) return refuse('user_id is required')
        if (isBlank(request.endpoint)) return refuse('endpoint is required')
        subscriptions.remove(request.userId, request.endpoint)
        return { ok: true }
      }),
    listSubscriptions: ({ userId }) => ({ subscriptions: subscriptions.list(userId) }),
    sendNotification: (request) =>
      once('SendNotification', request.idempotencyKey, () => {
        if (isBlank(request.userId)) return refuse('user_id is required')
        if (isBlank(request.title)) return refuse('title is required')
        return { ok: true, successCount: subscriptions.list(request.userId).length }
      }),
  }
}

function isBlank(text: string): boolean {
  return text.trim() === ''
}

function refuse(error: string): { ok: boolean; error: string } {
  return { ok: false, error }
}
