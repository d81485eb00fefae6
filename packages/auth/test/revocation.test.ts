import { describe, expect, it } from 'vitest'
import {
  createTokenVerifier,
  isRevokedBy,
  MemoryRevocationStore,
  type Revocable,
  type Revocation,
  type RevocationRequest,
} from '../src/index.ts'
import { claims, makeToken, now, nowMs, nowS, secret } from './make-token.ts'

const keys = [{ kind: 'secret', secret }] as const
const withClaims = (more: object): string =>
  makeToken({ payload: { ...claims, sid: 's1', jti: 't1', ...more } })

describe('revoke', () => {
  it.each([
    ['subject', { subject: 'u1' }, { subject: 'u1' }],
    ['session', { sessionId: 's1' }, { subject: 'u1', sessionId: 's1' }],
    ['token', { tokenId: 't1' }, { subject: 'u1', tokenId: 't1' }],
  ] satisfies [string, RevocationRequest, Revocable][])(
    'ends cached tokens of a %s at once',
    async (kind, request, victim) => {
      const verifier = createTokenVerifier({ keys, now })
      const told: Revocation[] = []
      const stop = verifier.onRevoked((revocation) => told.push(revocation))
      const bystander = withClaims({ sub: 'u2', sid: 's2', jti: 't2' })
      expect(await verifier.verifyToken(withClaims({}))).toMatchObject({ ok: true })
      expect(await verifier.verifyToken(bystander)).toMatchObject({ ok: true })
      await verifier.revoke(request)
      expect(await verifier.verifyToken(withClaims({}))).toMatchObject({ ok: false, code: 'revoked' })
      expect(await verifier.verifyToken(bystander)).toMatchObject({ ok: true })
      expect(told).toEqual([{ kind, value: Object.values(request)[0], issuedBeforeMs: nowMs + 1 }])
      expect(told.every((revocation) => isRevokedBy(revocation, victim))).toBe(true)
      expect(told.some((revocation) => isRevokedBy(revocation, { subject: 'u2', sessionId: 's2' }))).toBe(
        false,
      )
      stop()
      await verifier.revoke({ subject: 'u3' })
      expect(told).toHaveLength(1)
    },
  )

  it('spares tokens issued later, and hits tokens without iat', async () => {
    const verifier = createTokenVerifier({ keys, now })
    await verifier.revoke({ subject: 'u1', issuedBeforeMs: nowMs - 10_000 })
    expect(await verifier.verifyToken(withClaims({ iat: nowS - 10 }))).toMatchObject({ ok: true })
    expect(await verifier.verifyToken(withClaims({ iat: nowS - 11 }))).toMatchObject({ code: 'revoked' })
    expect(await verifier.verifyToken(withClaims({ iat: undefined }))).toMatchObject({ code: 'revoked' })
  })

  it('refuses a request that names no target, an empty one, or two', async () => {
    const verifier = createTokenVerifier({ keys, now })
    const requests: unknown[] = [
      {},
      { subject: '' },
      { subject: 'a', sessionId: 'b' },
      { subject: 'a', issuedBeforeMs: NaN },
    ]
    for (const request of requests)
      await expect(verifier.revoke(request as RevocationRequest)).rejects.toMatchObject({
        code: 'bad_revocation',
      })
  })

  it('goes on to other listeners when one throws', async () => {
    const events: string[] = []
    const told: string[] = []
    const verifier = createTokenVerifier({ keys, now, onEvent: ({ type }) => events.push(type) })
    verifier.onRevoked(() => {
      throw new Error('listener')
    })
    verifier.onRevoked(({ value }) => told.push(value))
    await verifier.revoke({ subject: 'u1' })
    expect(told).toEqual(['u1'])
    expect(events).toEqual(['revoked', 'listener_failed'])
  })
})

it.each([
  ['deny', { ok: false, code: 'revocations_unavailable' }],
  ['allow', { ok: true }],
] as const)(
  'with onRevocationsStale %s, a store out of sync decides',
  async (onRevocationsStale, expected) => {
    const revocations = new MemoryRevocationStore({ now: () => nowMs - 60_001 })
    const verifier = createTokenVerifier({ keys, now, revocations, onRevocationsStale })
    expect(await verifier.verifyToken(makeToken())).toMatchObject(expected)
  },
)
