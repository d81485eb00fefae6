import { randomInt } from 'node:crypto'
import { Accounts } from './balance/accounts.ts'
import { createBalanceHttp } from './balance/balance-http.ts'
import { createBalanceService } from './balance/balance-service.ts'
import { Reservations } from './balance/reservations.ts'
import { createTokenCheck } from './balance/token-check.ts'
import { type Clock, systemClock } from './clock.ts'
import type { Config, Ports } from './config.ts'
import { CallLog } from './control/call-log.ts'
import { createControlApi } from './control/control-api.ts'
import { Faults } from './control/faults.ts'
import type { RandomInt } from './engine/cards.ts'
import { EventLog } from './event/event-log.ts'
import { createEventService } from './event/event-service.ts'
import { type AuditTrail, createAuditTrail } from './game/audit-trail.ts'
import { type Chips, createChips } from './game/chips.ts'
import { createGameService } from './game/game-service.ts'
import { tableSummary } from './game/table-json.ts'
import { Tables } from './game/tables.ts'
import { BalanceService } from './gen/balance/balance_pb.ts'
import { EventService } from './gen/event/event_pb.ts'
import { GameService } from './gen/game/game_pb.ts'
import { NotifyService } from './gen/notify/notify_pb.ts'
import { PlayerService } from './gen/player/player_pb.ts'
import { authority, type GrpcServer, type GrpcServerOptions, startGrpcServer } from './grpc/grpc-server.ts'
import type { DescService } from '@bufbuild/protobuf'
import { type HttpListener, listenHttp } from './http-listener.ts'
import { IdempotencyCache } from './idempotency.ts'
import { createNotifyService } from './notify/notify-service.ts'
import { Subscriptions } from './notify/subscriptions.ts'
import { Friends } from './player/friends.ts'
import { loadPageFiles } from './page-server/page-files.ts'
import { createPageServer } from './page-server/page-server.ts'
import { createPlayerService } from './player/player-service.ts'
import { Profiles } from './player/profiles.ts'
import { StatisticsBook } from './player/statistics.ts'
import { createGatewayPublisher } from './publish/gateway-publisher.ts'
import { createRedisPublisher } from './publish/redis-publisher.ts'
import type { UpdatePublisher } from './publish/update.ts'

/** Something worth a log line. */
export interface PlatformEvent {
  readonly level: 'warn' | 'error'
  /** From a small set of words: fit to group or to count by. */
  readonly what: string
  /** The channel of a publication. */
  readonly channel?: string
  readonly error: unknown
}

export interface PlatformOptions extends Config {
  /** Default: the machine's time. */
  readonly clock?: Clock
  /** The deck's randomness. Default: node:crypto's. */
  readonly randomInt?: RandomInt
  readonly onEvent?: (event: PlatformEvent) => void
}

/** The whole platform in one process. */
export interface Platform {
  /** Resolves when everything listens. Rejects, with nothing left open, when a port is taken. */
  readonly start: () => Promise<void>
  /** Stops listening, ends what is in flight within about a second. Safe to call twice. */
  readonly stop: () => Promise<void>
  /** The real ports once started; as configured before. */
  readonly ports: () => Ports
  readonly calls: CallLog
  readonly faults: Faults
}

/**
 * Balance, Player, Game, Event and Notify with their state in memory. They call each other by real gRPC, and Game
 * publishes to the gateway through Redis when `redisUrl` is set, else by gRPC. Throws on an unusable token key.
 */
export function createPlatform(options: PlatformOptions): Platform {
  const clock = options.clock ?? systemClock
  const calls = new CallLog()
  const faults = new Faults()
  const closers: (() => Promise<void> | void)[] = []
  let ports = options.ports
  const onError = (error: unknown, what: string): void => options.onEvent?.({ level: 'error', what, error })
  const verify = createTokenCheck(options.tokenKeys)
  // A wildcard is an address to listen on, not one to call.
  const localHost = ['0.0.0.0', '::'].includes(options.host) ? '127.0.0.1' : options.host

  const serve = async <S extends DescService>(
    server: Pick<GrpcServerOptions<S>, 'name' | 'service' | 'handlers' | 'port'>,
  ): Promise<number> => {
    const running: GrpcServer = await startGrpcServer({
      ...server,
      host: options.host,
      calls,
      faults,
      onError,
    })
    closers.push(running.stop)
    return running.port
  }
  const keep = <T extends { readonly close: () => Promise<void> | void }>(resource: T): T => {
    closers.push(() => resource.close())
    return resource
  }
  const listen = async (listener: Promise<HttpListener>): Promise<number> => {
    const { port, stop } = await listener
    closers.push(stop)
    return port
  }

  const listenPage = async (port: number): Promise<number> => {
    const files = await loadPageFiles()
    const app = createPageServer({
      files,
      faults,
      secret: options.tokenKeys.hs256Secret,
      ...options.tokenClaims,
    })
    return listen(listenHttp(app, '127.0.0.1', port))
  }

  const startAll = async (): Promise<void> => {
    const wanted = options.ports
    const newIdempotency = (): IdempotencyCache => new IdempotencyCache({ clock })

    const accounts = new Accounts(clock)
    const reservations = new Reservations(accounts, clock)
    const balanceParts = { accounts, reservations, idempotency: newIdempotency(), clock }
    const balanceHttp = createBalanceHttp({ ...balanceParts, verify, calls, faults, onError })
    const balanceService = createBalanceService(balanceParts)

    const profiles = new Profiles(clock)
    const statistics = new StatisticsBook(clock)
    const friends = new Friends()
    const playerService = createPlayerService({
      profiles,
      friends,
      statistics,
      idempotency: newIdempotency(),
    })

    const log = new EventLog({ clock, onHandFinished: (hand) => statistics.add(hand) })
    const eventService = createEventService({
      log,
      idempotency: newIdempotency(),
      acceptSessions: options.acceptSessions,
      nicknameOf: (userId) => profiles.open(userId).nickname,
    })
    const notifyService = createNotifyService({
      subscriptions: new Subscriptions(),
      idempotency: newIdempotency(),
    })

    const balance = await serve({
      name: 'balance',
      service: BalanceService,
      handlers: balanceService,
      port: wanted.balance,
    })
    const player = await serve({
      name: 'player',
      service: PlayerService,
      handlers: playerService,
      port: wanted.player,
    })
    const event = await serve({
      name: 'event',
      service: EventService,
      handlers: eventService,
      port: wanted.event,
    })
    const notify = await serve({
      name: 'notify',
      service: NotifyService,
      handlers: notifyService,
      port: wanted.notify,
    })

    const chips: Chips = keep(createChips({ address: authority(localHost, balance), clock, onError }))
    const audit: AuditTrail = keep(createAuditTrail({ address: authority(localHost, event), onError }))
    const publisher = keep(createPublisher(options))
    const tables = new Tables({
      clock,
      chips,
      publisher,
      randomInt: options.randomInt ?? ((exclusiveMax) => randomInt(exclusiveMax)),
      firstHandDelayMs: options.handStartDelayMs,
      nextHandDelayMs: options.nextHandDelayMs,
      maxSpectators: options.maxSpectators,
      record: audit.record,
    })
    closers.push(() => tables.stop())
    const gameService = createGameService({ tables, idempotency: newIdempotency() })
    const game = await serve({ name: 'game', service: GameService, handlers: gameService, port: wanted.game })

    const state = (): unknown => ({
      tables: tables.states().map((table) => ({ ...tableSummary(table), version: table.version })),
      accountChips: accounts.total(),
      unpublished: publisher.depth(),
      faults: faults.list(),
    })
    const control = await listen(
      listenHttp(createControlApi({ calls, faults, state }), '127.0.0.1', wanted.control),
    )
    const balanceHttpPort = await listen(listenHttp(balanceHttp, options.host, wanted.balanceHttp))
    const page = wanted.page === undefined ? undefined : await listenPage(wanted.page)
    ports = {
      balanceHttp: balanceHttpPort,
      balance,
      player,
      game,
      event,
      notify,
      control,
      ...(page !== undefined && { page }),
    }
  }

  const stop = async (): Promise<void> => {
    // Newest first is the order of dependence: what calls a service is closed before that service.
    const closing = closers.splice(0).toReversed()
    await Promise.all(closing.map(async (close) => close()))
  }

  return {
    start: async () => {
      try {
        await startAll()
      } catch (error) {
        await stop()
        throw error
      }
    },
    stop,
    ports: () => ports,
    calls,
    faults,
  }
}

function createPublisher(options: PlatformOptions): UpdatePublisher {
  const onFailure = ({
    channel,
    outcome,
    error,
  }: {
    channel: string
    outcome: string
    error: unknown
  }): void => options.onEvent?.({ level: 'warn', what: `publish ${outcome}`, channel, error })
  return options.redisUrl === undefined
    ? createGatewayPublisher({ address: options.gatewayPublishUrl, onFailure })
    : createRedisPublisher({ url: options.redisUrl, onFailure })
}
