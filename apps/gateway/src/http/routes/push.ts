/** `/api/push`: web push subscriptions, relayed to Notify. */
import { z } from 'zod'
import type { Backends } from '../../grpc/backends.ts'
import { GatewayError } from '../../errors.ts'
import { answers } from './answers.ts'
import { nothing } from './inputs.ts'
import { type MountableRoute, refused, route } from '../route.ts'

const blankable = z.string().trim().max(2048).optional().catch(undefined)

const subscription = z.object({
  endpoint: blankable,
  keys: z.object({ p256dh: blankable, auth: blankable }).optional().catch(undefined),
})

export interface PushRoutesOptions {
  readonly notify: Backends['notify']
  readonly vapidPublicKey: string | undefined
}

/** The routes of contract §1.2 under `/api/push`. */
export function pushRoutes({ notify, vapidPublicKey }: PushRoutesOptions): readonly MountableRoute[] {
  const bare = { params: nothing, query: nothing, body: nothing, invalid: 'Invalid request' }
  return [
    route({
      ...bare,
      method: 'get',
      path: '/api/push/vapid',
      summary: 'The public key that browsers subscribe with.',
      answer: answers.publicKey,
      examples: [{ summary: 'The key', status: 200 }],
      failure: 'Failed to get the public key',
      handle() {
        if (vapidPublicKey === undefined)
          throw new GatewayError('unavailable', 'VAPID public key is not configured')
        return Promise.resolve({ status: 200, body: { publicKey: vapidPublicKey } })
      },
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/push/subscribe',
      summary: 'Register a push subscription.',
      answer: answers.nothing,
      examples: [
        {
          summary: 'A browser',
          status: 204,
          body: { endpoint: 'https://push.example/1', keys: { p256dh: 'BNc…', auth: 'k8J…' } },
        },
        { summary: 'No keys', status: 400, body: { endpoint: 'https://push.example/1' } },
      ],
      body: subscription,
      invalid: 'endpoint is required',
      failure: 'Failed to register subscription',
      async handle({ body: { endpoint, keys } }, { caller, idempotencyKey, options }) {
        if (!endpoint) throw new GatewayError('invalid_request', 'endpoint is required')
        if (!keys) throw new GatewayError('invalid_request', 'keys are required')
        const { p256dh, auth } = keys
        if (!p256dh || !auth)
          throw new GatewayError('invalid_request', 'keys.p256dh and keys.auth are required')
        const request = {
          userId: caller.subject,
          subscription: { endpoint, keys: { p256dh, auth } },
          idempotencyKey,
        }
        const result = await notify.registerSubscription(request, options)
        return result.ok ? { status: 204 } : refused(result.error)
      },
    }),
    route({
      ...bare,
      method: 'delete',
      path: '/api/push/subscribe',
      summary: 'Remove a push subscription.',
      answer: answers.nothing,
      examples: [{ summary: 'A browser', status: 204, body: { endpoint: 'https://push.example/1' } }],
      body: subscription,
      invalid: 'endpoint is required',
      failure: 'Failed to remove subscription',
      async handle({ body: { endpoint } }, { caller, idempotencyKey, options }) {
        if (!endpoint) throw new GatewayError('invalid_request', 'endpoint is required')
        const result = await notify.unregisterSubscription(
          { userId: caller.subject, endpoint, idempotencyKey },
          options,
        )
        return result.ok ? { status: 204 } : refused(result.error)
      },
    }),
  ]
}
