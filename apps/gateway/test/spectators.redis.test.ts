/** Who watches a table, over sockets and instances: in Game's list until the last of them is gone. In memory and in Redis. */
import { randomUUID } from 'node:crypto'
import { create } from '@bufbuild/protobuf'
import { createLink } from '@gw/testing'
import { describe, expect, inject, test } from 'vitest'
import { JoinSpectatorResponseSchema, LeaveSpectatorResponseSchema } from '../src/grpc/gen/game/game_pb.ts'
import { createRedisClients } from '../src/redis.ts'
import { createSpectators, type Spectators } from '../src/services/spectators.ts'
import { createWhereabouts, type Whereabouts } from '../src/services/whereabouts.ts'

/** Game's list of one table's spectators. */
class Game {
  readonly calls: string[] = []
  readonly #waiting = new Set<() => void>()

  readonly joinSpectator = ({ userId = '' }) => {
    this.#called(`${userId} in`)
    return Promise.resolve(create(JoinSpectatorResponseSchema, { ok: true }))
  }

  readonly leaveSpectator = ({ userId = '' }) => {
    this.#called(`${userId} out`)
    return Promise.resolve(create(LeaveSpectatorResponseSchema, { ok: true }))
  }

  /** Resolves when the user was taken out. */
  async left(userId: string): Promise<void> {
    while (!this.calls.includes(`${userId} out`))
      await new Promise<void>((resolve) => void this.#waiting.add(resolve))
  }

  #called(what: string): void {
    this.calls.push(what)
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

interface Instance extends AsyncDisposable {
  readonly spectators: Spectators
  readonly whereabouts: Whereabouts
  readonly errors: unknown[]
  watch(connectionId: string): Promise<void>
  /** As the gateway does when a socket closes. */
  close(connectionId: string): void
}

interface Place {
  readonly game: Game
  readonly prefix: string
  readonly url: string | undefined
}

async function instanceOf({ game, prefix, url }: Place): Promise<Instance> {
  const up = Promise.withResolvers<void>()
  const redis =
    url === undefined
      ? undefined
      : createRedisClients({
          url,
          mode: 'single',
          masterName: '',
          timeoutMs: 1000,
          onChange: (state) => state === 'up' && up.resolve(),
        })
  if (redis) await up.promise
  const errors: unknown[] = []
  const whereabouts = createWhereabouts({
    redis,
    prefix,
    instanceId: randomUUID(),
    broker: { publish: () => Promise.resolve({ epoch: 'e', seq: 1, duplicate: false }) },
    onReaped() {},
    onError() {},
  })
  const spectators = createSpectators({
    game,
    note: (connectionId, tableId, watches) => whereabouts.watch(connectionId, tableId, watches),
    stillWatches: (userId, tableId, left) => whereabouts.isWatching(userId, tableId, left),
    onError: (error) => errors.push(error),
  })
  return {
    spectators,
    whereabouts,
    errors,
    async watch(connectionId) {
      whereabouts.open({ connectionId, userId: 'ann', connectedAtMs: 0 })
      spectators.enter('ann', 'T', connectionId)
      await spectators.settled('ann', 'T')
      // Behind the note of the enter, which nobody waits for.
      await whereabouts.watch(connectionId, 'T', true)
    },
    close(connectionId) {
      spectators.leave('ann', 'T', connectionId)
      whereabouts.close(connectionId)
    },
    async [Symbol.asyncDispose]() {
      await whereabouts.stop()
      redis?.close()
    },
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

describe.each([
  { name: 'memory', url: undefined },
  { name: 'Redis', url: inject('redisUrl') },
])('in $name', ({ url }) => {
  test.each([
    { name: 'in one turn', between: () => Promise.resolve() },
    { name: 'a turn apart', between: nextTurn },
  ])('two sockets of a user that close $name leave no ghost behind', async ({ between }) => {
    const game = new Game()
    await using one = await instanceOf({ game, prefix: randomUUID(), url })
    for (let at = 0; at < 20; at++) {
      game.calls.length = 0
      await one.watch(`a${at}`)
      await one.watch(`b${at}`)
      one.close(`a${at}`)
      await between()
      one.close(`b${at}`)
      await one.spectators.settled('ann', 'T')
      // Twice when each of them found nobody.
      expect(game.calls.join()).toMatch(/^ann in,ann in(,ann out){1,2}$/)
    }
    expect(one.errors).toEqual([])
  })

  test('a user with a socket left stays, and goes with that one', async () => {
    const game = new Game()
    await using one = await instanceOf({ game, prefix: randomUUID(), url })
    await one.watch('a')
    await one.watch('b')
    one.close('a')
    await one.spectators.settled('ann', 'T')
    expect(game.calls).not.toContain('ann out')
    one.spectators.leave('ann', 'T', 'b')
    await one.spectators.settled('ann', 'T')
    expect(game.calls.at(-1)).toBe('ann out')
  })
})

test('two sockets on two instances that close at once leave no ghost behind', async () => {
  const place: Place = { game: new Game(), prefix: randomUUID(), url: inject('redisUrl') }
  await using one = await instanceOf(place)
  await using two = await instanceOf(place)
  for (let at = 0; at < 20; at++) {
    place.game.calls.length = 0
    await one.watch(`a${at}`)
    await two.watch(`b${at}`)
    one.close(`a${at}`)
    two.close(`b${at}`)
    await Promise.all([one.spectators.settled('ann', 'T'), two.spectators.settled('ann', 'T')])
    expect(place.game.calls.join()).toMatch(/^ann in,ann in(,ann out){1,2}$/)
  }
})

test('a socket that closes while Redis is away: Game is told when Redis is back, and the failure is reported once', async () => {
  await using link = await createLink({ target: inject('redisUrl') })
  const game = new Game()
  await using one = await instanceOf({ game, prefix: randomUUID(), url: link.url })
  await one.watch('a')
  link.cut()
  one.close('a')
  await one.spectators.settled('ann', 'T')
  expect(game.calls).toEqual(['ann in'])
  link.restore()
  await game.left('ann')
  expect(one.errors).toEqual([expect.objectContaining({ code: 'unavailable' })])
})
