import { createHash, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type AuthEvent, createTokenVerifier, type JwksSource, type TokenVerifier } from '../src/index.ts'
import { hang, type JsonServer, sendJson, startJsonServer } from './json-server.ts'
import {
  claims,
  ec,
  ed,
  encode,
  hmacWith,
  makeToken,
  nowMs,
  rsa,
  rsaWith,
  secret,
  signers,
} from './make-token.ts'

const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })

function jwk(key: KeyObject, more: object): JsonWebKey {
  return { ...key.export({ format: 'jwk' }), ...more }
}

const rsaJwk = (kid: string, more: object = {}): JsonWebKey =>
  jwk(rsa.publicKey, { kid, use: 'sig', alg: 'RS256', ...more })
const rsaToken = (kid?: string, payload: object = claims): string =>
  makeToken({
    header: { alg: 'RS256', typ: 'JWT', ...(kid === undefined ? {} : { kid }) },
    payload,
    sign: signers.RS256,
  })
const otherToken = (kid: string): string =>
  makeToken({ header: { alg: 'RS256', kid }, sign: rsaWith(other.privateKey) })

interface Setup extends AsyncDisposable {
  readonly server: JsonServer
  readonly verifier: TokenVerifier
  readonly clock: { timeMs: number }
  readonly events: readonly AuthEvent[]
  outcome(token: string): Promise<string>
  /** The next event of the type, from now on. */
  next(type: AuthEvent['type']): Promise<AuthEvent>
}

async function setup(keys: unknown, options: Partial<JwksSource> = {}): Promise<Setup> {
  const server = await startJsonServer(sendJson(keys))
  const clock = { timeMs: nowMs }
  const events: AuthEvent[] = []
  const waiting: { type: string; resolve: (event: AuthEvent) => void }[] = []
  const verifier = createTokenVerifier({
    keys: [{ kind: 'jwks', url: `${server.url}/jwks`, timeoutMs: 15_000, ...options }],
    now: () => clock.timeMs,
    onEvent: (event) => {
      events.push(event)
      for (const wait of waiting.splice(0))
        if (wait.type === event.type) wait.resolve(event)
        else waiting.push(wait)
    },
  })
  return {
    server,
    verifier,
    clock,
    events,
    outcome: async (token) => {
      const result = await verifier.verifyToken(token)
      return result.ok ? 'ok' : result.code
    },
    next: (type) => new Promise((resolve) => waiting.push({ type, resolve })),
    async [Symbol.asyncDispose]() {
      await verifier.close()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe('a key set at a URL', () => {
  it('is fetched once for 2 000 tokens at a cold start', async () => {
    const tokens = Array.from({ length: 2000 }, (_, index) =>
      rsaToken('a', { ...claims, jti: String(index) }),
    )
    await using idp = await setup({ keys: [rsaJwk('a')] })
    expect(idp.verifier.ready()).toBe(false)
    const outcomes = await Promise.all(tokens.map((token) => idp.outcome(token)))
    expect(new Set(outcomes)).toEqual(new Set(['ok']))
    await idp.verifier.whenReady()
    expect(idp.verifier.ready()).toBe(true)
    expect(idp.server.total()).toBe(1)
  })

  it('brings keys of all three algorithms', async () => {
    const keys = [
      rsaJwk('r'),
      jwk(ec.publicKey, { kid: 'e' }),
      jwk(ed.publicKey, { kid: 'd', key_ops: ['verify'] }),
    ]
    await using idp = await setup({ keys })
    expect(await idp.outcome(rsaToken('r'))).toBe('ok')
    expect(await idp.outcome(makeToken({ header: { alg: 'ES256', kid: 'e' }, sign: signers.ES256 }))).toBe(
      'ok',
    )
    expect(await idp.outcome(makeToken({ header: { alg: 'EdDSA', kid: 'd' }, sign: signers.EdDSA }))).toBe(
      'ok',
    )
    expect(await idp.outcome(makeToken({ header: { alg: 'ES256', kid: 'r' }, sign: signers.ES256 }))).toBe(
      'algorithm_not_allowed',
    )
    expect(await idp.outcome(rsaToken())).toBe('key_unknown')
  })

  it('serves tokens without a kid while it holds exactly one key', async () => {
    await using idp = await setup({ keys: [jwk(rsa.publicKey, {})] })
    expect(await idp.outcome(rsaToken())).toBe('ok')
  })

  it('takes a rotated key after one fetch, and drops the old one a refresh later', async () => {
    await using idp = await setup({ keys: [rsaJwk('a')] }, { cooldownMs: 1000 })
    expect(await idp.outcome(rsaToken('a'))).toBe('ok')
    idp.server.answer = sendJson({ keys: [jwk(other.publicKey, { kid: 'b' })] })
    idp.clock.timeMs += 1000
    expect(await idp.outcome(otherToken('b'))).toBe('ok')
    expect(idp.server.total()).toBe(2)
    expect(await idp.outcome(rsaToken('a'))).toBe('ok')
    idp.clock.timeMs += 1000
    expect(await idp.outcome(rsaToken('c'))).toBe('key_unknown')
    expect(idp.server.total()).toBe(3)
    expect(await idp.outcome(rsaToken('a'))).toBe('key_unknown')
    expect(await idp.outcome(otherToken('b'))).toBe('ok')
  })

  it('forgets verified tokens when a key id gets another key', async () => {
    await using idp = await setup({ keys: [rsaJwk('a')] }, { cooldownMs: 1000 })
    expect(await idp.outcome(rsaToken('a'))).toBe('ok')
    idp.server.answer = sendJson({ keys: [jwk(other.publicKey, { kid: 'a' })] })
    idp.clock.timeMs += 1000
    expect(await idp.outcome(rsaToken('unknown'))).toBe('key_unknown')
    expect(await idp.outcome(rsaToken('a'))).toBe('signature_invalid')
  })

  it('answers a flood of random key ids with one fetch per cooldown', async () => {
    await using idp = await setup({ keys: [rsaJwk('a')] }, { cooldownMs: 10_000 })
    await idp.verifier.whenReady()
    for (let round = 0; round < 10; round++) {
      const flood = Array.from({ length: 200 }, (_, index) => idp.outcome(rsaToken(`${round}-${index}`)))
      expect(new Set(await Promise.all(flood))).toEqual(new Set(['key_unknown']))
      expect(await idp.outcome(rsaToken('a'))).toBe('ok')
      idp.clock.timeMs += 1000
    }
    expect(idp.server.total()).toBe(1)
    expect(await idp.outcome(rsaToken('0-0'))).toBe('key_unknown')
    expect(idp.server.total()).toBe(2)
  })

  it('takes a key that the provider showed late after one cooldown', async () => {
    await using idp = await setup({ keys: [rsaJwk('a')] }, { cooldownMs: 10_000 })
    await idp.verifier.whenReady()
    idp.clock.timeMs += 10_000
    expect(await idp.outcome(otherToken('b'))).toBe('key_unknown')
    idp.server.answer = sendJson({ keys: [rsaJwk('a'), jwk(other.publicKey, { kid: 'b' })] })
    idp.clock.timeMs += 9999
    expect(await idp.outcome(otherToken('b'))).toBe('key_unknown')
    expect(idp.server.total()).toBe(2)
    idp.clock.timeMs += 1
    expect(await idp.outcome(otherToken('b'))).toBe('ok')
    expect(idp.server.total()).toBe(3)
  })

  const faults: [name: string, answer: JsonServer['answer'], reason: string][] = [
    ['hangs', hang, 'timeout'],
    ['hangs within the body', (_request, response) => void response.write('{"keys":'), 'timeout'],
    ['answers 500', (_request, response) => void response.writeHead(500).end('{"keys":[]}'), 'status'],
    [
      'redirects',
      (_request, response) => void response.writeHead(302, { location: '/elsewhere' }).end(),
      'redirect',
    ],
    [
      'sends 10 MB',
      (_request, response) => void response.end(`{"keys":["${'x'.repeat(10_000_000)}"]}`),
      'too_large',
    ],
    ['sends HTML', (_request, response) => void response.end('<html>Hello</html>'), 'not_json'],
    [
      'sends duplicate members',
      (_request, response) => void response.end('{"keys":[],"keys":[]}'),
      'not_json',
    ],
    ['sends no keys', sendJson({ keys: [] }), 'no_usable_keys'],
    ['sends another object', sendJson({ error: 'x' }), 'not_a_key_set'],
    [
      'sends 51 keys',
      sendJson({ keys: Array.from({ length: 51 }, (_, index) => rsaJwk(String(index))) }),
      'too_many_keys',
    ],
    ['resets the connection', (request) => void request.socket.resetAndDestroy(), 'network'],
  ]
  it.each(faults)(
    'goes on with its keys when the provider %s, for a bounded time',
    async (_name, answer, reason) => {
      await using idp = await setup(
        { keys: [rsaJwk('a')] },
        { timeoutMs: 150, cooldownMs: 10_000, maxStaleMs: 3_600_000 },
      )
      expect(await idp.outcome(rsaToken('a'))).toBe('ok')
      idp.server.answer = answer
      idp.clock.timeMs += 10_000
      expect(await idp.outcome(rsaToken('new'))).toBe('key_unknown')
      expect(idp.events.at(-1)).toEqual({
        type: 'keys_failed',
        source: `${idp.server.url}/jwks`,
        reason,
        ageMs: 10_000,
      })
      const asked = idp.server.total()
      expect(idp.server.hits.has('/elsewhere')).toBe(false)
      for (let count = 0; count < 50; count++)
        expect(await idp.outcome(rsaToken(`new-${count}`))).toBe('key_unknown')
      expect(idp.server.total()).toBe(asked)
      expect(await idp.outcome(rsaToken('a'))).toBe('ok')
      expect(idp.verifier.ready()).toBe(true)
      idp.clock.timeMs += 3_600_000
      expect(await idp.outcome(rsaToken('a', { ...claims, exp: claims.exp + 7200 }))).toBe('keys_unavailable')
      expect(idp.verifier.ready()).toBe(false)
    },
  )

  it('is refreshed in the background, and retried after failures at a cold start', async () => {
    await using idp = await setup({ keys: [] }, { refreshMs: 20, cooldownMs: 20 })
    expect(await idp.next('keys_failed')).toMatchObject({ reason: 'no_usable_keys' })
    expect(idp.verifier.ready()).toBe(false)
    idp.server.answer = sendJson({ keys: [rsaJwk('a')] })
    await idp.verifier.whenReady()
    idp.server.answer = sendJson({ keys: [rsaJwk('b')] })
    await idp.next('keys_loaded')
    await idp.next('keys_loaded')
    const asked = idp.server.total()
    expect(await idp.outcome(rsaToken('b'))).toBe('ok')
    expect(idp.server.total()).toBeLessThanOrEqual(asked + 1)
  })

  it('is not fetched before its first token when lazy', async () => {
    await using idp = await setup({ keys: [rsaJwk('a')] }, { lazy: true })
    expect(idp.verifier.ready()).toBe(true)
    await idp.verifier.whenReady()
    expect(idp.server.total()).toBe(0)
    expect(await idp.outcome(rsaToken('a'))).toBe('ok')
    expect(idp.server.total()).toBe(1)
  })

  it('rejects those who wait for it when time is up, or when it is closed', async () => {
    await using idp = await setup({ keys: [rsaJwk('a')] })
    idp.server.answer = hang
    await expect(idp.verifier.whenReady({ timeoutMs: 10 })).rejects.toMatchObject({ code: 'not_ready' })
    for (const timeoutMs of [Number.NaN, Infinity])
      await expect(idp.verifier.whenReady({ timeoutMs })).rejects.toMatchObject({ code: 'bad_option' })
    const waiting = idp.verifier.whenReady()
    await idp.verifier.close()
    await expect(waiting).rejects.toMatchObject({ code: 'closed' })
  })

  it('leaves hostile and useless keys out', async () => {
    const symmetric = { kty: 'oct', k: encode(secret), kid: 'oct', alg: 'HS256' }
    const keys = [
      symmetric,
      jwk(weak.publicKey, { kid: 'weak' }),
      rsaJwk('e1', { e: 'AQ' }),
      rsaJwk('enc', { use: 'enc' }),
      rsaJwk('ops', { key_ops: ['encrypt'] }),
      rsaJwk('alg', { alg: 'PS256' }),
      rsaJwk('twice'),
      jwk(other.publicKey, { kid: 'twice' }),
      jwk(rsa.privateKey, { kid: 'private' }),
      { kty: 'RSA', kid: 'broken', n: '!', e: '' },
      'text',
      rsaJwk('good'),
    ]
    await using idp = await setup({ keys })
    expect(await idp.outcome(rsaToken('good'))).toBe('ok')
    for (const kid of [
      'weak',
      'e1',
      'enc',
      'ops',
      'alg',
      'twice',
      'private',
      'broken',
      '__proto__',
      'constructor',
      '../../dev/null',
      "' OR 1=1",
    ])
      expect(await idp.outcome(rsaToken(kid)), kid).toBe('key_unknown')
    const withSecret = makeToken({ header: { alg: 'HS256', kid: 'oct' }, sign: hmacWith(secret) })
    expect(await idp.outcome(withSecret)).toBe('key_unknown')
    expect(idp.events.filter(({ type }) => type === 'key_skipped')).toHaveLength(11)
  })

  it('never goes where a token says', async () => {
    await using canary = await startJsonServer(sendJson({ keys: [rsaJwk('a')] }))
    await using idp = await setup({ keys: [rsaJwk('a')] })
    for (const name of ['jku', 'x5u'])
      expect(
        await idp.outcome(
          makeToken({ header: { alg: 'RS256', kid: 'z', [name]: canary.url }, sign: signers.RS256 }),
        ),
      ).toBe('header_not_allowed')
    expect(canary.total()).toBe(0)
  })

  it('may have a deadline that is no whole number of milliseconds', async () => {
    await using idp = await setup({ keys: [rsaJwk('a')] }, { timeoutMs: 15_000.5 })
    expect(await idp.outcome(rsaToken('a'))).toBe('ok')
  })

  it('is not fetched all the time when its refresh is the longest that there is', async () => {
    const timers = vi.spyOn(globalThis, 'setTimeout')
    const random = vi.spyOn(Math, 'random').mockReturnValue(0.99)
    onTestFinished(() => {
      timers.mockRestore()
      random.mockRestore()
    })
    await using idp = await setup({ keys: [rsaJwk('a')] }, { refreshMs: 2_147_483_647 })
    await idp.verifier.whenReady()
    // Behind the fetch, in which the next one is planned.
    await new Promise((resolve) => setImmediate(resolve))
    const planned = timers.mock.calls.map(([, ms]) => ms ?? 0).filter((ms) => ms > 1e9)
    expect(planned).toEqual([2_147_483_647])
  })

  it('is not asked by a fetch that ignores its signal for longer than the deadline', async () => {
    const verifier = createTokenVerifier({
      keys: [{ kind: 'jwks', url: 'https://idp.example/jwks', timeoutMs: 20 }],
      fetch: () => new Promise(() => {}),
    })
    expect(await verifier.verifyToken(rsaToken('a'))).toMatchObject({ ok: false, code: 'keys_unavailable' })
    await verifier.close()
  })
})

describe('a Keycloak realm', () => {
  const thumb = createHash('sha256').update('x').digest('base64url')
  const certs = '/realms/play/protocol/openid-connect/certs'

  async function realm(
    tokens?: 'with-kid' | 'without-kid',
  ): Promise<{ server: JsonServer; verifier: TokenVerifier }> {
    const publicKey = other.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')
    const server = await startJsonServer((request, response) => {
      const body =
        request.url === certs ? { keys: [rsaJwk(thumb)] } : { realm: 'play', public_key: publicKey }
      sendJson(body)(request, response)
    })
    const scope = tokens === undefined ? {} : { tokens }
    const keys = [{ kind: 'keycloak', url: `${server.url}/`, realm: 'play', ...scope } as const]
    const verifier = createTokenVerifier({ keys, now: () => nowMs })
    await verifier.whenReady()
    return { server, verifier }
  }

  it('verifies tokens with a kid by its certs, and tokens without by its public key', async () => {
    const { server, verifier } = await realm()
    expect([...server.hits.keys()]).toEqual([certs])
    expect(await verifier.verifyToken(rsaToken(thumb))).toMatchObject({ ok: true })
    const withoutKid = makeToken({ header: { alg: 'RS256' }, sign: rsaWith(other.privateKey) })
    expect(await verifier.verifyToken(withoutKid)).toMatchObject({ ok: true })
    expect(await verifier.verifyToken(rsaToken())).toMatchObject({ code: 'signature_invalid' })
    expect(Object.fromEntries(server.hits)).toEqual({ [certs]: 1, '/realms/play': 1 })
    await verifier.close()
    await server[Symbol.asyncDispose]()
  })

  it('fetches the key of tokens without a kid again after a bad signature, once per cooldown', async () => {
    const der = (key: KeyObject): string => key.export({ format: 'der', type: 'spki' }).toString('base64')
    let current = other.publicKey
    const server = await startJsonServer((request, response) =>
      sendJson({ realm: 'play', public_key: der(current) })(request, response),
    )
    const clock = { timeMs: nowMs }
    const verifier = createTokenVerifier({
      keys: [{ kind: 'keycloak', url: server.url, realm: 'play', tokens: 'without-kid', timeoutMs: 15_000 }],
      now: () => clock.timeMs,
    })
    await verifier.whenReady()
    const [oldToken, newToken] = [
      makeToken({ header: { alg: 'RS256' }, sign: rsaWith(other.privateKey) }),
      rsaToken(),
    ]
    expect(await verifier.verifyToken(oldToken)).toMatchObject({ ok: true })
    current = rsa.publicKey
    expect(await verifier.verifyToken(newToken)).toMatchObject({ code: 'signature_invalid' })
    expect(server.total()).toBe(1)
    clock.timeMs += 10_000
    const both = await Promise.all([newToken, newToken].map(async (token) => verifier.verifyToken(token)))
    expect(both).toMatchObject([{ ok: true }, { ok: true }])
    expect(await verifier.verifyToken(oldToken)).toMatchObject({ code: 'signature_invalid' })
    clock.timeMs += 10_000
    const forged = Array.from({ length: 100 }, async (_, index) =>
      verifier.verifyToken(
        makeToken({
          header: { alg: 'RS256' },
          payload: { ...claims, jti: `${index}` },
          sign: rsaWith(other.privateKey),
        }),
      ),
    )
    for (const result of await Promise.all(forged))
      expect(result).toMatchObject({ code: 'signature_invalid' })
    expect(server.total()).toBe(3)
    await verifier.close()
    await server[Symbol.asyncDispose]()
  })

  it('can be bound to one of the two', async () => {
    const one = await realm('with-kid')
    expect(await one.verifier.verifyToken(rsaToken())).toMatchObject({ code: 'key_unknown' })
    const two = await realm('without-kid')
    expect(await two.verifier.verifyToken(rsaToken(thumb))).toMatchObject({ code: 'key_unknown' })
    expect([...one.server.hits.keys(), ...two.server.hits.keys()]).toEqual([certs, '/realms/play'])
    for (const { verifier, server } of [one, two]) {
      await verifier.close()
      await server[Symbol.asyncDispose]()
    }
  })
})
