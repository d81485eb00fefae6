import { randomUUID } from 'node:crypto'
import jsonwebtoken from 'jsonwebtoken'
import { developmentSecret, loadConfig } from '../src/config.ts'
import { seededRandom } from '../src/engine/cards.ts'
import { BalanceService } from '../src/gen/balance/balance_pb.ts'
import { EventService } from '../src/gen/event/event_pb.ts'
import { GameService } from '../src/gen/game/game_pb.ts'
import { NotifyService } from '../src/gen/notify/notify_pb.ts'
import { PlayerService } from '../src/gen/player/player_pb.ts'
import { createGrpcClient, type GrpcClient } from '../src/grpc/grpc-client.ts'
import { createPlatform, type Platform, type PlatformEvent, type PlatformOptions } from '../src/platform.ts'
import { ManualClock } from './manual-clock.ts'

/** A running platform on free ports with a clock that the test moves, and a client for each service. */
export interface TestPlatform extends AsyncDisposable {
  readonly platform: Platform
  readonly clock: ManualClock
  readonly balance: GrpcClient<typeof BalanceService>
  readonly player: GrpcClient<typeof PlayerService>
  readonly game: GrpcClient<typeof GameService>
  readonly event: GrpcClient<typeof EventService>
  readonly notify: GrpcClient<typeof NotifyService>
  readonly events: readonly PlatformEvent[]
  readonly balanceUrl: string
  readonly controlUrl: string
}

export async function startTestPlatform(options: Partial<PlatformOptions> = {}): Promise<TestPlatform> {
  const loaded = loadConfig({})
  if (!loaded.ok) throw new Error(loaded.problems.join())
  const clock = new ManualClock()
  const events: PlatformEvent[] = []
  const platform = createPlatform({
    ...loaded.config,
    ports: { balanceHttp: 0, balance: 0, player: 0, game: 0, event: 0, notify: 0, control: 0 },
    // Nobody listens here unless a test says where: updates wait.
    gatewayPublishUrl: '127.0.0.1:9',
    clock,
    randomInt: seededRandom(7),
    onEvent: (event) => events.push(event),
    ...options,
  })
  await platform.start()
  const ports = platform.ports()
  const at = (port: number) => ({ address: `127.0.0.1:${port}`, timeoutMs: 5000 })
  const clients = {
    balance: createGrpcClient(BalanceService, at(ports.balance)),
    player: createGrpcClient(PlayerService, at(ports.player)),
    game: createGrpcClient(GameService, at(ports.game)),
    event: createGrpcClient(EventService, at(ports.event)),
    notify: createGrpcClient(NotifyService, at(ports.notify)),
  }
  return {
    platform,
    clock,
    ...clients,
    events,
    balanceUrl: `http://127.0.0.1:${ports.balanceHttp}/api/accounts`,
    controlUrl: `http://127.0.0.1:${ports.control}`,
    [Symbol.asyncDispose]: async () => {
      for (const client of Object.values(clients)) client.close()
      await platform.stop()
    },
  }
}

/** A token that Balance accepts. */
export function tokenFor(sub: string, options: jsonwebtoken.SignOptions = { expiresIn: '5m' }): string {
  return jsonwebtoken.sign({ sub }, developmentSecret, { algorithm: 'HS256', ...options })
}

/** A key that was never used before. */
export function freshKey(): string {
  return randomUUID()
}

/** A table with two players of 200 chips each, blinds 5 and 10, whose first hand has begun: alice (seat 0) has big blind. */
export async function startedHand(
  { game, balance, clock }: TestPlatform,
  users = ['alice', 'bob'],
): Promise<string> {
  const { tableId } = await game.createTable({
    name: 'Duel',
    ownerId: 'alice',
    config: { smallBlind: 5n, bigBlind: 10n, startingStack: 200n, turnTimerSeconds: 20, maxPlayers: 6 },
    idempotencyKey: freshKey(),
  })
  for (const [seatId, userId] of users.entries()) {
    await balance.ensureAccount({ accountId: userId, initialBalance: 1000n })
    await game.joinSeat({ tableId, userId, seatId, idempotencyKey: freshKey() })
  }
  clock.advance(1500)
  return tableId
}

/** The gRPC status code and details that a call fails with; fails when it does not. */
export async function failure(call: Promise<unknown>): Promise<{ code: unknown; details: unknown }> {
  const error: unknown = await call.then(
    () => new Error('The call succeeded'),
    (reason: unknown) => reason,
  )
  if (error instanceof Error && 'code' in error && 'details' in error)
    return { code: error.code, details: error.details }
  throw error
}
