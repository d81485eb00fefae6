/**
 * Every hostile token, by every way in (a request's header, the first message, the socket's URL), at a real gateway: it is
 * refused in the same way, counted once under its reason, and no part of it is in the logs.
 */
import { createHmac, generateKeyPairSync } from 'node:crypto'
import { connectWs } from '@gw/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type GatewayProcess, secret, startGateway } from './harness/platform.ts'

const issuer = 'https://idp.example/realms/play'
const audience = 'gw'
/** In the claims of every token: it must reach no log line, neither as text nor encoded. */
const canary = 'canary-7f3a9c51'
const nowS = Math.floor(Date.now() / 1000)
const claims = { jti: canary, sub: canary, iss: issuer, aud: audience, iat: nowS - 5, exp: nowS + 600 }
const claimsText = JSON.stringify(claims)
const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicPem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
const publicDer = publicKey.export({ format: 'der', type: 'spki' })

function encode(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url')
}

interface Parts {
  readonly header?: unknown
  readonly payload?: unknown
  readonly key?: string | Buffer
}

/** Objects, or raw text for what JSON.stringify would not write; HS256. */
function sign({ header = { alg: 'HS256', typ: 'JWT' }, payload = claims, key = secret }: Parts = {}): string {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

const withHeader = (more: object): string => sign({ header: { alg: 'HS256', typ: 'JWT', ...more } })
const withClaims = (more: object): string => sign({ payload: { ...claims, ...more } })
const withText = (from: string, to: string): string => sign({ payload: claimsText.replace(from, to) })
const good = sign()

const hostile: readonly (readonly [name: string, token: string, reason: string])[] = [
  ['no exp', withClaims({ exp: undefined }), 'exp_missing'],
  ['exp 1e300', withText(`"exp":${claims.exp}`, '"exp":1e300'), 'claim_invalid'],
  ['exp a string', withClaims({ exp: String(claims.exp) }), 'claim_invalid'],
  ['exp null', withClaims({ exp: null }), 'claim_invalid'],
  ['exp now', withClaims({ exp: nowS }), 'expired'],
  ['a life of 25 hours', withClaims({ exp: claims.iat + 90_000 }), 'lifetime_too_long'],
  ['iat a year ahead', withClaims({ iat: nowS + 31_536_000, exp: nowS + 31_536_060 }), 'issued_in_future'],
  ['nbf ten minutes ahead', withClaims({ nbf: nowS + 600 }), 'not_yet_valid'],
  ['crit with an unknown name', withHeader({ crit: ['x-foo'], 'x-foo': 1 }), 'header_not_allowed'],
  ['crit empty', withHeader({ crit: [] }), 'header_not_allowed'],
  ['b64 false', withHeader({ crit: ['b64'], b64: false }), 'header_not_allowed'],
  ['jku', withHeader({ jku: 'http://127.0.0.1:1/keys' }), 'header_not_allowed'],
  ['x5u', withHeader({ x5u: 'http://127.0.0.1:1/certificate' }), 'header_not_allowed'],
  ['x5c', withHeader({ x5c: ['MIIB'] }), 'header_not_allowed'],
  ['jwk', withHeader({ jwk: { kty: 'oct', k: encode(secret) } }), 'header_not_allowed'],
  ['zip', withHeader({ zip: 'DEF' }), 'header_not_allowed'],
  ['enc', withHeader({ enc: 'A128GCM' }), 'header_not_allowed'],
  ['alg twice', sign({ header: '{"alg":"none","alg":"HS256"}' }), 'duplicate_member'],
  ['sub twice', withText('"sub"', '"sub":"admin","sub"'), 'duplicate_member'],
  ['a __proto__ claim', withText('"sub"', '"__proto__":{"x":1},"sub"'), 'forbidden_member'],
  ['alg none, not signed', `${encode({ alg: 'none' })}.${encode(claims)}.`, 'token_malformed'],
  ['alg none, signed', sign({ header: { alg: 'none' } }), 'algorithm_not_allowed'],
  ['alg nOnE', sign({ header: { alg: 'nOnE' } }), 'algorithm_not_allowed'],
  ['an empty HMAC key', sign({ key: '' }), 'signature_invalid'],
  ['header typ ID', withHeader({ typ: 'ID' }), 'type_not_allowed'],
  ['claim typ Refresh', withClaims({ typ: 'Refresh' }), 'type_not_allowed'],
  ['no aud', withClaims({ aud: undefined }), 'audience_mismatch'],
  ['no sub', withClaims({ sub: undefined }), 'subject_missing'],
  ['sub an object', withClaims({ sub: { id: canary } }), 'subject_invalid'],
  ['iss an array', withClaims({ iss: [issuer] }), 'issuer_mismatch'],
  ['iss with a suffix', withClaims({ iss: `${issuer}/evil` }), 'issuer_mismatch'],
  ['over 8 KB', withClaims({ pad: 'x'.repeat(7000) }), 'token_too_large'],
  ['a trailing =', `${good}=`, 'token_malformed'],
  ['a kid that no key has', withHeader({ kid: '../../dev/null' }), 'key_unknown'],
]

/** HS256 with the public key as the secret, in each spelling of it. */
const confused = (
  [
    ['PEM', publicPem],
    ['trimmed PEM', publicPem.trim()],
    ['DER', publicDer],
    ['bare base64', publicDer.toString('base64')],
  ] as const
).map(
  ([name, key]) => [`signed with the public key, ${name}`, sign({ key }), 'algorithm_not_allowed'] as const,
)

const waysIn = ['header', 'message', 'query'] as const
let address = 0

/** Each attempt from an address of its own: the limit of failed logins is another test's. */
function forwarded(): Readonly<Record<string, string>> {
  address++
  return { 'x-forwarded-for': `203.0.${address >> 8}.${address & 255}` }
}

async function knock(gateway: GatewayProcess, way: (typeof waysIn)[number], token: string): Promise<number> {
  const headers = forwarded()
  if (way === 'header') {
    const response = await gateway.fetch('/api/profile', {
      headers: { ...headers, authorization: `Bearer ${token}` },
    })
    expect(response.headers.get('www-authenticate')).toMatch(/^Bearer /)
    expect(await response.text()).not.toContain(token.slice(0, 20))
    return response.status
  }
  const url = way === 'query' ? `${gateway.wsUrl}?token=${encodeURIComponent(token)}` : gateway.wsUrl
  await using socket = await connectWs(url, { headers })
  if (way === 'message') socket.send({ type: 'Authenticate', token })
  const { code } = await socket.closed
  expect(socket.received).toEqual([])
  return code
}

async function failures(gateway: GatewayProcess): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(gateway.metricsUrl)).text()
  const found = text.matchAll(/^gateway_auth_failures_total\{[^}]*reason="([^"]+)"[^}]*\} (\d+)$/gm)
  return new Map([...found].map(([, reason = '', count]) => [reason, Number(count)]))
}

/** What was counted in between, by reason. */
async function counted(gateway: GatewayProcess, act: () => Promise<void>): Promise<Record<string, number>> {
  const before = await failures(gateway)
  await act()
  const after = [...(await failures(gateway))]
  const deltas = after.map(([reason, count]) => [reason, count - (before.get(reason) ?? 0)] as const)
  return Object.fromEntries(deltas.filter(([, delta]) => delta !== 0))
}

const env = {
  JWT_ISSUER: issuer,
  JWT_AUDIENCE: audience,
  WS_QUERY_TOKEN_AUTH: 'true',
  TRUST_PROXY_HOPS: '1',
  LOG_LEVEL: 'debug',
}

describe.each([
  ['a secret', {}, hostile],
  ['a public key as bare base64', { JWT_PUBLIC_KEY: publicDer.toString('base64') }, confused],
])('a gateway with %s', (_name, keys, rows) => {
  let gateway: GatewayProcess
  beforeAll(async () => {
    gateway = await startGateway({ ...env, ...keys })
  })
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]()
  })

  test.each(rows)('refuses a token by every way in: %s', async (_row, token, reason) => {
    for (const way of waysIn) {
      const seen = await counted(gateway, async () => {
        expect(await knock(gateway, way, token)).toBe(way === 'header' ? 401 : 1008)
      })
      expect(seen, way).toEqual({ [reason]: 1 })
    }
  })

  test('and wrote no part of a token to its log', async () => {
    await knock(gateway, 'query', rows[0]?.[1] ?? '')
    // Lines are gathered before they are written.
    await expect
      .poll(() => gateway.process.lines.filter(({ msg }) => msg === 'connection_refused').length)
      .toBeGreaterThan(rows.length * 2)
    const output = gateway.process.output()
    expect(output).not.toContain(canary)
    for (const [name, token] of rows)
      for (const part of token.split('.').filter((text) => text.length > 16))
        expect(output.includes(part), name).toBe(false)
  })
})

describe('a gateway', () => {
  let gateway: GatewayProcess
  beforeAll(async () => {
    gateway = await startGateway(env)
  })
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]()
  })

  test('refuses a line break behind a good token in the URL, and takes the token without it', async () => {
    expect(await knock(gateway, 'query', `${good}\n`)).toBe(1008)
    await using socket = await connectWs(`${gateway.wsUrl}?token=${good}`, { headers: forwarded() })
    expect(await socket.next('Welcome')).toMatchObject({ type: 'Welcome' })
    expect(gateway.process.output()).not.toContain(good.split('.')[2])
  })

  test('refuses 1 MB before it looks at it', async () => {
    const huge = withClaims({ pad: 'x'.repeat(1_000_000) })
    await using socket = await connectWs(gateway.wsUrl, { headers: forwarded() })
    socket.send({ type: 'Authenticate', token: huge })
    expect((await socket.closed).code).toBe(1009)
    expect((await gateway.fetch('/health')).status).toBe(200)
  })
})
