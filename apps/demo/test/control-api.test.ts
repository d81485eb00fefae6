import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { PlayerService } from '../src/gen/player/player_pb.ts'
import { createGrpcClient } from '../src/grpc/grpc-client.ts'
import { failure, startTestPlatform, type TestPlatform, tokenFor } from './test-platform.ts'

const callsSchema = z.object({
  calls: z.array(
    z.object({
      service: z.string(),
      method: z.string(),
      request: z.unknown(),
      metadata: z.record(z.string(), z.string()),
      deadlineMs: z.number().nullable(),
    }),
  ),
})

async function setFault(t: TestPlatform, fault: unknown): Promise<number> {
  const response = await fetch(`${t.controlUrl}/faults`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fault),
  })
  return response.status
}

async function callsOf(t: TestPlatform, query: string) {
  return callsSchema.parse(await (await fetch(`${t.controlUrl}/calls?${query}`)).json()).calls
}

describe('faults', () => {
  it('fails as many calls as told, with the code and details told', async () => {
    await using t = await startTestPlatform()
    const fault = {
      service: 'player',
      method: 'GetProfile',
      kind: 'error',
      code: 'PERMISSION_DENIED',
      details: 'no',
      count: 2,
    }
    expect(await setFault(t, fault)).toBe(201)
    const read = () => t.player.getProfile({ userId: 'alice' })
    expect(await failure(read())).toEqual({ code: 7, details: 'no' })
    expect(await t.player.getFriends({ userId: 'alice' })).toMatchObject({ friends: [] })
    expect(await failure(read())).toEqual({ code: 7, details: 'no' })
    expect((await read()).profile?.userId).toBe('alice')
  })

  it('hangs until it is cleared, and never holds back a stop', async () => {
    await using t = await startTestPlatform()
    expect(await setFault(t, { service: 'player', kind: 'hang' })).toBe(201)
    const hasty = createGrpcClient(PlayerService, {
      address: `127.0.0.1:${t.platform.ports().player}`,
      timeoutMs: 150,
    })
    expect(await failure(hasty.getFriends({ userId: 'alice' }))).toMatchObject({ code: 4 })
    expect((await fetch(`${t.controlUrl}/faults`, { method: 'DELETE' })).status).toBe(204)
    expect(await t.player.getFriends({ userId: 'alice' })).toMatchObject({ friends: [] })
    hasty.close()
    await setFault(t, { service: 'player', kind: 'hang' })
    const stuck = failure(t.player.getFriends({ userId: 'alice' }))
    await expect.poll(() => t.platform.calls.list({ method: 'GetFriends' }).length).toBe(3)
    const before = performance.now()
    await t.platform.stop()
    expect(performance.now() - before).toBeLessThan(5000)
    expect((await stuck).code).not.toBe(0)
  })

  it('delays', async () => {
    await using t = await startTestPlatform()
    await setFault(t, { service: 'notify', kind: 'delay', delayMs: 120, count: 1 })
    const before = performance.now()
    await t.notify.listSubscriptions({ userId: 'alice' })
    expect(performance.now() - before).toBeGreaterThanOrEqual(115)
  })

  it('reaches the HTTP API of Balance', async () => {
    await using t = await startTestPlatform()
    await setFault(t, {
      service: 'balance-http',
      method: 'balance',
      kind: 'error',
      details: 'down',
      count: 1,
    })
    const headers = { authorization: `Bearer ${tokenFor('alice')}` }
    const response = await fetch(`${t.balanceUrl}/alice/balance`, { headers })
    expect([response.status, await response.json()]).toEqual([503, { error: 'UNAVAILABLE', message: 'down' }])
  })

  it('refuses a fault that makes no sense, naming each field', async () => {
    await using t = await startTestPlatform()
    for (const fault of [
      {},
      { service: 'chess', kind: 'hang' },
      { service: 'game', kind: 'error', code: 'OK' },
      { service: 'game', kind: 'error', code: '5' },
    ])
      expect(await setFault(t, fault)).toBe(400)
    const response = await fetch(`${t.controlUrl}/faults`)
    expect(await response.json()).toEqual({ faults: [] })
  })
})

describe('recorded calls', () => {
  it('show request, metadata and what was left of the deadline, and no token', async () => {
    await using t = await startTestPlatform()
    await t.player.getProfile({ userId: 'alice', username: 'Alice' })
    const [call] = await callsOf(t, 'service=player&method=GetProfile')
    expect(call).toMatchObject({ request: { userId: 'alice', username: 'Alice' } })
    expect(call?.metadata['user-agent']).toContain('grpc')
    expect(call?.deadlineMs).toBeGreaterThan(3000)
    expect(call?.deadlineMs).toBeLessThanOrEqual(5000)
    const token = tokenFor('alice')
    await fetch(`${t.balanceUrl}/alice/balance`, {
      headers: { authorization: `Bearer ${token}`, 'x-user-id': 'alice' },
    })
    const [http] = await callsOf(t, 'service=balance-http')
    expect(http).toMatchObject({
      method: 'GET /api/accounts/alice/balance',
      metadata: { 'x-user-id': 'alice' },
    })
    expect(JSON.stringify(http)).not.toContain(token)
  })

  it('show the state of the platform', async () => {
    await using t = await startTestPlatform()
    await t.balance.ensureAccount({ accountId: 'alice', initialBalance: 70n })
    const response = await fetch(`${t.controlUrl}/state`)
    expect(await response.json()).toEqual({ tables: [], accountChips: 70, unpublished: 0, faults: [] })
  })
})
