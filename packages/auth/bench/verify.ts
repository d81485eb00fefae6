/**
 * Tokens verified per second: ours uncached and cached, beside jsonwebtoken, jose and fast-jwt with imported keys
 * (their fastest way) in the same run: `pnpm --filter @gw/auth bench`. Ratios count, not absolute figures.
 * Every call gets a text of its own, as every request does: one that was looked up before carries its hash along.
 * The control rows are the floor: nothing but the signature check, or nothing but a hash of the token.
 */
import { createHmac, createSecretKey, generateKeyPairSync, hash, timingSafeEqual, verify } from 'node:crypto'
import { cpus } from 'node:os'
import { createTokenVerifier, type KeySource, type TokenVerifier } from '@gw/auth'
import { createVerifier } from 'fast-jwt'
import { jwtVerify } from 'jose'
import jwt from 'jsonwebtoken'

const rounds = Number(process.env['BENCH_ROUNDS'] ?? 15)
/** A row goes on for at least so long in each round. */
const leastMs = 50
const poolSize = 1000
const secret = 'benchmark secret of more than 32 bytes: 0123456789'
const secretKey = createSecretKey(Buffer.from(secret))
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
const issuer = 'https://idp.example/realms/play'
const audience = 'gw'

type Algorithm = 'HS256' | 'RS256'

interface Row {
  readonly name: string
  readonly call: (token: string) => unknown
}

/** Claims of the size that Keycloak sends; different in every token, so that nothing is the same text twice. */
function sign(algorithm: Algorithm, index: number): Buffer {
  const claims = {
    jti: crypto.randomUUID(),
    sid: crypto.randomUUID(),
    typ: 'Bearer',
    azp: 'ui',
    scope: 'openid email profile',
    preferred_username: `user-${index}`,
    email: `user-${index}@example.com`,
    realm_access: { roles: ['default-roles', 'offline_access', 'player'] },
  }
  const key = algorithm === 'HS256' ? secretKey : privateKey
  const subject = crypto.randomUUID()
  return Buffer.from(jwt.sign(claims, key, { algorithm, subject, issuer, audience, expiresIn: '1h' }))
}

function ours(key: KeySource, cache: false | object): TokenVerifier {
  return createTokenVerifier({ keys: [key], issuer, audience, cache })
}

function rowsOf(algorithm: Algorithm): readonly Row[] {
  const key = algorithm === 'HS256' ? secretKey : publicKey
  const source: KeySource =
    algorithm === 'HS256' ? { kind: 'secret', secret } : { kind: 'public-key', key: pem }
  const uncached = ours(source, false)
  const cached = ours(source, {})
  const revoking = ours(source, {})
  void revoking.revoke({ subject: 'somebody else' })
  const fastOptions = {
    key: algorithm === 'HS256' ? secret : pem,
    algorithms: [algorithm],
    allowedIss: issuer,
    allowedAud: audience,
  }
  const fast = createVerifier(fastOptions)
  const fastCached = createVerifier({ ...fastOptions, cache: 50_000 })
  const checks = { algorithms: [algorithm], issuer, audience }
  return [
    { name: '@gw/auth, no cache', call: (token) => uncached.verifyToken(token) },
    { name: 'jsonwebtoken, KeyObject', call: (token) => jwt.verify(token, key, checks) },
    { name: 'fast-jwt', call: (token) => fast(token) },
    { name: 'jose, KeyObject', call: (token) => jwtVerify(token, key, checks) },
    { name: 'control: the signature alone', call: (token) => checkSignature(algorithm, token) },
    { name: '@gw/auth, cached', call: (token) => cached.verifyToken(token) },
    { name: '@gw/auth, cached, with a revocation', call: (token) => revoking.verifyToken(token) },
    { name: 'fast-jwt, cached', call: (token) => fastCached(token) },
    { name: 'control: SHA-256 of the token', call: (token) => hash('sha256', token, 'base64url') },
  ]
}

function checkSignature(algorithm: Algorithm, token: string): boolean {
  const end = token.lastIndexOf('.')
  const input = token.slice(0, end)
  const signature = Buffer.from(token.slice(end + 1), 'base64url')
  return algorithm === 'HS256'
    ? timingSafeEqual(createHmac('sha256', secretKey).update(input).digest(), signature)
    : verify('sha256', Buffer.from(input), publicKey, signature)
}

/** Calls per second. New texts are made between the runs that are timed. */
async function measure({ call }: Row, tokens: readonly Buffer[]): Promise<number> {
  let ms = 0
  let calls = 0
  while (ms < leastMs) {
    const texts = tokens.map((token) => token.toString('latin1'))
    const startedAt = performance.now()
    for (const text of texts) {
      const result = call(text)
      if (result instanceof Promise) await result
    }
    ms += performance.now() - startedAt
    calls += texts.length
  }
  return (calls / ms) * 1000
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
}

console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`)
console.log(`${poolSize} different tokens, median of ${rounds} rounds (lowest to highest)`)
for (const algorithm of ['HS256', 'RS256'] as const) {
  const tokens = Array.from({ length: poolSize }, (_, index) => sign(algorithm, index))
  const rows = rowsOf(algorithm)
  const check = await ours(
    algorithm === 'HS256' ? { kind: 'secret', secret } : { kind: 'public-key', key: pem },
    false,
  ).verifyToken(tokens[0]?.toString() ?? '')
  if (!check.ok) throw new Error(check.code)
  const results = new Map(rows.map(({ name }) => [name, [] as number[]]))
  for (const row of rows) await measure(row, tokens)
  // Round by round, so that a busy moment of the machine hits all rows.
  for (let round = 0; round < rounds; round += 1)
    for (const row of rows) results.get(row.name)?.push(await measure(row, tokens))
  console.log(`\n${algorithm}, ${tokens[0]?.length} characters`)
  const control = median(results.get('jsonwebtoken, KeyObject') ?? [])
  for (const [name, speeds] of results) {
    const range = `(${Math.round(Math.min(...speeds))} to ${Math.round(Math.max(...speeds))})`
    const ratio = `${(median(speeds) / control).toFixed(2)} × jsonwebtoken`
    console.log(
      `  ${name.padEnd(38)}${`${Math.round(median(speeds))}/s`.padStart(11)}  ${range.padEnd(22)}${ratio}`,
    )
  }
}
