/**
 * Tokens verified per second: ours uncached and cached, beside jsonwebtoken, jose and fast-jwt with imported keys
 * (their fastest way) in the same run. Run: node --conditions=@gw/source bench/verify.ts
 * The last row of each table is the floor: nothing but the signature check, or nothing but the hash.
 */
import { createHmac, createSecretKey, generateKeyPairSync, hash, timingSafeEqual, verify } from 'node:crypto'
import { cpus } from 'node:os'
import { createTokenVerifier, type KeySource, type TokenVerifier } from '@gw/auth'
import { createVerifier } from 'fast-jwt'
import { jwtVerify } from 'jose'
import jwt from 'jsonwebtoken'
import { Bench } from 'tinybench'

const rounds = 5
const roundMs = 300
const poolSize = 1000
const secret = 'benchmark secret of more than 32 bytes: 0123456789'
const secretKey = createSecretKey(Buffer.from(secret))
const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()

/** Claims of the size that Keycloak sends; different in every token, so that nothing is the same text twice. */
function sign(algorithm: 'HS256' | 'RS256', index: number): string {
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
  return jwt.sign(claims, algorithm === 'HS256' ? secretKey : privateKey, {
    algorithm,
    subject: crypto.randomUUID(),
    issuer: 'https://idp.example/realms/play',
    audience: 'gw',
    expiresIn: '1h',
  })
}

const issuer = 'https://idp.example/realms/play'
const audience = 'gw'

function ours(key: KeySource, cache: false | object): TokenVerifier {
  return createTokenVerifier({ keys: [key], issuer, audience, cache })
}

async function mustAccept(verifier: TokenVerifier, tokens: readonly string[]): Promise<void> {
  for (const token of tokens) {
    const result = await verifier.verifyToken(token)
    if (!result.ok) throw new Error(result.code)
  }
}

async function compare(algorithm: 'HS256' | 'RS256'): Promise<void> {
  const tokens = Array.from({ length: poolSize }, (_, index) => sign(algorithm, index))
  let at = 0
  const next = (): string => tokens[at++ % poolSize] ?? ''
  const key = algorithm === 'HS256' ? secretKey : publicKey
  const source: KeySource =
    algorithm === 'HS256' ? { kind: 'secret', secret } : { kind: 'public-key', key: pem }
  const uncached = ours(source, false)
  const cached = ours(source, {})
  await mustAccept(uncached, tokens)
  await mustAccept(cached, tokens)
  const fastKey = algorithm === 'HS256' ? secret : pem
  const fast = createVerifier({
    key: fastKey,
    algorithms: [algorithm],
    allowedIss: issuer,
    allowedAud: audience,
  })
  const fastCached = createVerifier({
    key: fastKey,
    algorithms: [algorithm],
    allowedIss: issuer,
    allowedAud: audience,
    cache: 50_000,
  })

  const bench = new Bench({ time: rounds * roundMs, warmupTime: roundMs })
  bench
    .add('@gw/auth, no cache', async () => void (await uncached.verifyToken(next())))
    .add(
      'jsonwebtoken, KeyObject',
      () => void jwt.verify(next(), key, { algorithms: [algorithm], issuer, audience }),
    )
    .add('fast-jwt', () => void fast(next()))
    .add(
      'jose, KeyObject',
      async () => void (await jwtVerify(next(), key, { algorithms: [algorithm], issuer, audience })),
    )
    .add('control: the signature alone', () => void checkSignature(algorithm, next()))
    .add('@gw/auth, cached', async () => void (await cached.verifyToken(next())))
    .add('fast-jwt, cached', () => void fastCached(next()))
    .add('control: SHA-256 of the token', () => void hash('sha256', next(), 'base64url'))
  await bench.run()
  console.log(`\n${algorithm}, tokens of ${tokens[0]?.length} characters, ${poolSize} different ones`)
  console.table(
    bench.tasks.map(({ name, result }) => ({
      name,
      ...('throughput' in result
        ? {
            'per second (median)': Math.round(result.throughput.p50).toLocaleString('en'),
            mean: Math.round(result.throughput.mean).toLocaleString('en'),
            'spread ±%': Number(result.latency.rme.toFixed(1)),
          }
        : {}),
    })),
  )
}

function checkSignature(algorithm: 'HS256' | 'RS256', token: string): boolean {
  const end = token.lastIndexOf('.')
  const input = token.slice(0, end)
  const signature = Buffer.from(token.slice(end + 1), 'base64url')
  return algorithm === 'HS256'
    ? timingSafeEqual(createHmac('sha256', secretKey).update(input).digest(), signature)
    : verify('sha256', Buffer.from(input), publicKey, signature)
}

console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}`)
await compare('HS256')
await compare('RS256')
