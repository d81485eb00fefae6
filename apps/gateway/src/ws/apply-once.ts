/**
 * Requests that change something are applied once for each user and `id`, on any instance, and a repeat gets the first
 * one's answer:
 *
 *   begin ─ begun ──▶ do it ─ answer ──▶ kept for 10 minutes
 *     │                    └ no answer (a backend is away) ──▶ given up: the next attempt does it
 *     ├─ answered ──▶ the same answer
 *     ├─ running ──▶ wait, begin again; a lease that ended, as that of a dead instance, is taken over
 *     └─ conflict ──▶ refused
 *
 * Below it stands the backend's own key, made of the same id: what an instance did and could not note down any more is not
 * done twice there (the chat has a memory of its own). While the store is away, each instance remembers by itself, and the backend's memory is the fleet's.
 */
import { createHash } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Action, ChatSend, JoinSeat, LeaveTable } from '@gw/protocol'
import { GatewayError } from '../errors.ts'
import type { AnswerStore, KeptAnswer, KeptRequest } from '../services/answer-store.ts'
import type { ClientSession } from './client-session.ts'

/** What is applied once. */
export type OnceRequest = Action | ChatSend | JoinSeat | LeaveTable

export interface Applied {
  /** Null where the contract has no answer. */
  readonly answer: KeptAnswer
  /** It had been done before. */
  readonly duplicate: boolean
}

export type ApplyOnce = (
  message: OnceRequest,
  session: Pick<ClientSession, 'userId'>,
  attempt: () => Promise<KeptAnswer>,
) => Promise<Applied>

export interface ApplyOnceOptions {
  readonly store: AnswerStore
  /** Takes over while `store` is away. */
  readonly local: AnswerStore
  /** How often the lease of an attempt under way is renewed: often enough that only a dead instance's ends. Default 1000. */
  readonly renewMs?: number
  /** How long a repeat waits for the first attempt; then it is told to ask again. Default 5000. */
  readonly waitMs?: number
  readonly onStoreError: (error: unknown) => void
}

const pollMs = 50

/** No outcome to keep: the attempt may have failed on its way, so a repeat must reach the backend; a line may be said later. */
function isOpen(answer: KeptAnswer): boolean {
  if (answer?.type === 'ChatError') return true
  return (
    answer?.type === 'ActionResult' && (answer.reason === 'unavailable' || answer.reason === 'internal_error')
  )
}

function requestOf({ id, ...what }: OnceRequest & { readonly id: string }, userId: string): KeptRequest {
  const text = JSON.stringify(Object.entries(what).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  return { userId, id, what: createHash('sha256').update(text).digest('base64url') }
}

export function createApplyOnce(options: ApplyOnceOptions): ApplyOnce {
  const { renewMs = 1000, waitMs = 5000, onStoreError } = options

  async function begin(request: KeptRequest) {
    try {
      return { store: options.store, ...(await options.store.begin(request)) }
    } catch (error) {
      onStoreError(error)
      return { store: options.local, ...(await options.local.begin(request)) }
    }
  }

  async function run(
    request: KeptRequest,
    { store, lease }: { readonly store: AnswerStore; readonly lease: string },
    attempt: () => Promise<KeptAnswer>,
  ): Promise<KeptAnswer> {
    const giveUp = (): Promise<void> => store.giveUp(request, lease).catch(onStoreError)
    const renewing = setInterval(() => void store.renew(request, lease).catch(onStoreError), renewMs)
    let answer: KeptAnswer
    try {
      answer = await attempt()
    } catch (error) {
      await giveUp()
      throw error
    } finally {
      clearInterval(renewing)
    }
    if (isOpen(answer)) {
      await giveUp()
      return answer
    }
    try {
      return await store.finish(request, answer)
    } catch (error) {
      onStoreError(error)
      return answer
    }
  }

  return async (message, { userId }, attempt) => {
    const { id } = message
    if (id === undefined) return { answer: await attempt(), duplicate: false }
    const request = requestOf({ ...message, id }, userId)
    const late = Date.now() + waitMs
    for (;;) {
      const begun = await begin(request)
      switch (begun.type) {
        case 'begun':
          return { answer: await run(request, begun, attempt), duplicate: false }
        case 'answered':
          return { answer: begun.answer, duplicate: true }
        case 'conflict':
          throw new GatewayError('conflict', 'The id was used for something else')
        case 'running':
          if (Date.now() >= late)
            throw new GatewayError('unavailable', 'The first attempt is still under way', {
              retryAfterMs: 500,
            })
          await pause(pollMs)
      }
    }
  }
}
