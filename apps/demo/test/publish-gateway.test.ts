import { status } from '@grpc/grpc-js'
import { parseServerMessage } from '@gw/protocol/schemas'
import { describe, expect, it } from 'vitest'
import { createGatewayPublisher } from '../src/publish/gateway-publisher.ts'
import type { OutboxFailure } from '../src/publish/outbox.ts'
import type { Update } from '../src/publish/update.ts'
import { PublisherServer } from './publisher-server.ts'
import { freshKey, startedHand, startTestPlatform } from './test-platform.ts'

const update = (tableId: string, version: number): Update => ({
  channel: 'table',
  tableId,
  payload: { type: 'TableSnapshot', tableState: { version, status: 'WAITING', hand: null } },
  key: `${tableId}:${version}`,
})

describe('publication through the gateway', () => {
  it('tells every version of a table once and in order, the result before the cleared table', async () => {
    await using server = new PublisherServer()
    await using t = await startTestPlatform({ gatewayPublishUrl: `127.0.0.1:${await server.listen()}` })
    const tableId = await startedHand(t)
    const fold = { tableId, userId: 'bob', actionType: 'FOLD', idempotencyKey: freshKey() }
    await t.game.submitAction(fold)
    const { state } = await t.game.getTableState({ tableId })
    const isLast = (version: number | undefined) => version === state?.version
    await server.waitFor(({ payload }) => isLast(payload.tableState?.version))

    const table = server.published.filter(({ channel }) => channel === `table:${tableId}`)
    const versions = table.map(({ payload }) => payload.tableState?.version)
    expect(versions).toEqual(versions.map((_, index) => index))
    expect(new Set(server.published.map(({ key }) => key)).size).toBe(server.published.length)
    expect(table.map(({ payload }) => payload.tableState?.hand).slice(-3)).toMatchObject([
      { endedAt: null },
      { endedAt: expect.any(String), winners: [0] },
      null,
    ])
    const lobby = await server.waitFor(({ channel }) => channel === 'lobby')
    expect(lobby.payload.type).toBe('LobbyTablesUpdated')
  })

  it('sends nothing that the strictest client would drop', async () => {
    await using server = new PublisherServer()
    await using t = await startTestPlatform({ gatewayPublishUrl: `127.0.0.1:${await server.listen()}` })
    const users = ['alice', 'bob', 'carol']
    const tableId = await startedHand(t, users)
    await t.game.joinSpectator({ tableId, userId: 'eve', idempotencyKey: freshKey() })
    // Hand after hand, everybody tries everything; what is refused changes nothing.
    const wishes = ['RAISE', 'CALL', 'BET', 'CHECK', 'ALL_IN', 'FOLD']
    for (let step = 0; step < 60; step++) {
      const userId = users[step % 3] ?? ''
      const actionType = wishes[step % 5] ?? 'FOLD'
      await t.game.submitAction({ tableId, userId, actionType, amount: 20n, idempotencyKey: freshKey() })
      if (step % 4 === 3) t.clock.advance(20_000)
    }
    const { state } = await t.game.getTableState({ tableId })
    await server.waitFor(({ payload }) => payload.tableState?.version === state?.version)
    const streets = new Set(server.published.map(({ payload }) => payload.tableState?.hand?.street))
    expect(streets).toContain('SHOWDOWN')
    for (const { raw } of server.published) expect(parseServerMessage(raw)).toMatchObject({ ok: true })
  })

  it('waits for a gateway that is away, and then delivers everything in order', async () => {
    await using first = new PublisherServer()
    const port = await first.listen()
    await first[Symbol.asyncDispose]()
    const failures: OutboxFailure[] = []
    const failed = Promise.withResolvers<void>()
    const publisher = createGatewayPublisher({
      address: `127.0.0.1:${port}`,
      onFailure: (failure) => {
        failures.push(failure)
        failed.resolve()
      },
    })
    for (const version of [0, 1, 2]) publisher.publish(update('t', version))
    await failed.promise
    expect(failures[0]).toMatchObject({ channel: 'table:t', outcome: 'retried' })
    expect(publisher.depth()).toBe(3)
    await using second = new PublisherServer()
    await second.listen(port)
    await second.waitFor(({ key }) => key === 't:2')
    expect(second.published.map(({ key }) => key)).toEqual(['t:0', 't:1', 't:2'])
    await publisher.close()
  })

  it('goes on after a refusal, and keeps the newest when a queue is full', async () => {
    await using server = new PublisherServer()
    server.refusals.push({ code: status.INVALID_ARGUMENT, count: 1 }, { code: status.UNAVAILABLE, count: 2 })
    const failures: OutboxFailure[] = []
    const publisher = createGatewayPublisher({
      address: `127.0.0.1:${await server.listen()}`,
      onFailure: (failure) => failures.push(failure),
    })
    for (let version = 0; version < 70; version++) publisher.publish(update('t', version))
    await server.waitFor(({ key }) => key === 't:69')
    const outcomes = failures.map(({ outcome }) => outcome)
    expect(outcomes.filter((outcome) => outcome === 'overflowed')).toHaveLength(5)
    expect(outcomes.filter((outcome) => outcome === 'refused')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 'retried')).toHaveLength(2)
    expect(server.published.map(({ key }) => key)).toEqual(
      Array.from({ length: 64 }, (_, index) => `t:${index + 6}`),
    )
    await publisher.close()
  })
})
