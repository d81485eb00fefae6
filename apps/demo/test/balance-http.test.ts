import { generateKeyPairSync } from 'node:crypto'
import jsonwebtoken from 'jsonwebtoken'
import { describe, expect, it } from 'vitest'
import { startTestPlatform, type TestPlatform, tokenFor } from './test-platform.ts'

interface Call {
  readonly method?: string
  readonly body?: unknown
  readonly key?: string
  readonly token?: string | null
}

async function call(t: TestPlatform, path: string, options: Call = {}) {
  const { method = options.body === undefined ? 'GET' : 'POST', key, token = tokenFor('alice') } = options
  const response = await fetch(t.balanceUrl + path, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(key === undefined ? {} : { 'idempotency-key': key }),
    },
    ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
  })
  const body: unknown = await response.json()
  return { status: response.status, body }
}

describe('accounts over HTTP', () => {
  it('opens an account once', async () => {
    await using t = await startTestPlatform()
    expect(await call(t, '/alice/balance')).toEqual({
      status: 404,
      body: { error: 'ACCOUNT_NOT_FOUND', message: 'Account alice not found' },
    })
    const opened = { accountId: 'alice', balance: 500, currency: 'CHIPS' }
    const open = { body: { initialBalance: 500 } }
    expect(await call(t, '/alice', open)).toEqual({ status: 201, body: { ...opened, created: true } })
    expect(await call(t, '/alice', open)).toEqual({ status: 200, body: { ...opened, created: false } })
    expect(await call(t, '/alice', { method: 'POST' })).toMatchObject({ status: 200 })
    expect(await call(t, '/alice', { body: { initialBalance: -1 } })).toMatchObject({ status: 400 })
    expect(await call(t, '/alice/balance')).toEqual({
      status: 200,
      body: { accountId: 'alice', balance: 500, availableBalance: 500, currency: 'CHIPS', version: 0 },
    })
  })

  it('deposits once per key, also into an account that does not exist yet', async () => {
    await using t = await startTestPlatform()
    const deposit = { body: { amount: 1000, source: 'BONUS' }, key: 'daily' }
    const [first, second] = await Promise.all([
      call(t, '/alice/deposit', deposit),
      call(t, '/alice/deposit', deposit),
    ])
    expect(second).toEqual(first)
    expect(first).toEqual({
      status: 200,
      body: {
        transactionId: expect.any(String),
        type: 'BONUS',
        amount: 1000,
        balanceBefore: 0,
        balanceAfter: 1000,
        status: 'COMPLETED',
        createdAt: expect.any(String),
        completedAt: expect.any(String),
      },
    })
    const refused = async (body: unknown, key?: string) =>
      (await call(t, '/alice/deposit', { body, ...(key ? { key } : {}) })).body
    expect(await refused({ amount: 1, source: 'BONUS' })).toMatchObject({ error: 'MISSING_IDEMPOTENCY_KEY' })
    expect(await refused({ amount: 0, source: 'BONUS' }, 'a')).toMatchObject({ error: 'INVALID_AMOUNT' })
    expect(await refused({ amount: 1.5, source: 'BONUS' }, 'a')).toMatchObject({ error: 'INVALID_AMOUNT' })
    expect(await refused({ amount: 1 }, 'a')).toMatchObject({ error: 'MISSING_SOURCE' })
    expect((await call(t, '/alice/balance')).body).toMatchObject({ balance: 1000, version: 1 })
  })

  it('withdraws what is there, and writes transactions and a chained ledger', async () => {
    await using t = await startTestPlatform()
    await call(t, '/alice/deposit', { body: { amount: 10, source: 'ADMIN' }, key: 'd' })
    await call(t, '/alice/withdraw', { body: { amount: 4, reason: 'test' }, key: 'w' })
    expect(await call(t, '/alice/withdraw', { body: { amount: 7 }, key: 'w2' })).toEqual({
      status: 400,
      body: { error: 'INSUFFICIENT_BALANCE', message: 'Withdrawal failed: INSUFFICIENT_BALANCE' },
    })
    expect((await call(t, '/alice/transactions?limit=1')).body).toMatchObject({
      transactions: [
        { type: 'WITHDRAW', amount: 4, balanceBefore: 10, balanceAfter: 6, metadata: { reason: 'test' } },
      ],
      total: 2,
      limit: 1,
      offset: 0,
    })
    expect((await call(t, '/alice/transactions?type=DEPOSIT')).body).toMatchObject({ total: 1 })
    expect((await call(t, '/alice/transactions?limit=x')).status).toBe(400)
    const { account } = { account: (await call(t, '/alice/ledger')).body }
    expect(account).toMatchObject({
      entries: [{ amount: -4 }, { amount: 10, previousChecksum: 'GENESIS' }],
      total: 2,
    })
    expect((await call(t, '/alice/ledger?from=2100-01-01')).body).toMatchObject({ entries: [], total: 0 })
  })

  it('serves the owner of a valid token only', async () => {
    await using t = await startTestPlatform()
    expect(await call(t, '/bob/balance')).toEqual({
      status: 403,
      body: { error: 'FORBIDDEN', message: 'Cannot access another account' },
    })
    const none = jsonwebtoken.sign({ sub: 'alice' }, '', { algorithm: 'none' })
    const expired = tokenFor('alice', { expiresIn: -10 })
    const foreign = jsonwebtoken.sign({ sub: 'alice' }, 'x'.repeat(40))
    for (const token of [null, 'nonsense', none, expired, foreign])
      expect((await call(t, '/alice/balance', { token })).status).toBe(401)
  })

  it('answers a broken body with JSON and no file names', async () => {
    await using t = await startTestPlatform()
    const response = await fetch(`${t.balanceUrl}/alice`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${tokenFor('alice')}` },
      body: '{"a":',
    })
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({
      error: 'INVALID_REQUEST',
      message: 'The request body is not valid',
    })
  })

  it('takes RS256 tokens, and those only, when a public key is set', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    const bare = pem.replaceAll(/-----[^-]+-----|\s/g, '')
    await using t = await startTestPlatform({ tokenKeys: { hs256Secret: 'x'.repeat(32), publicKey: bare } })
    const token = jsonwebtoken.sign({ sub: 'alice' }, privateKey, { algorithm: 'RS256', expiresIn: '1m' })
    expect((await call(t, '/alice', { body: {}, token })).status).toBe(201)
    const confused = jsonwebtoken.sign({ sub: 'alice' }, 'x'.repeat(32), { expiresIn: '1m' })
    expect((await call(t, '/alice/balance', { token: confused })).status).toBe(401)
  })
})
