/** The gRPC services behind the gateway. */
import type { DescService } from '@bufbuild/protobuf'
import { type ChannelCredentials, type ClientOptions, credentials } from '@grpc/grpc-js'
import type { BackendTls } from '../backend-tls.ts'
import { traceClient } from '../observe/traced-client.ts'
import { EventService } from './gen/event/event_pb.ts'
import { GameService } from './gen/game/game_pb.ts'
import { NotifyService } from './gen/notify/notify_pb.ts'
import { PlayerService } from './gen/player/player_pb.ts'
import { type BackendGuard, type BreakerState, createBackendGuard } from './backend-guard.ts'
import { createServiceClient, type ServiceClient, type ServiceClientOptions } from './service-client.ts'

/** The services by the names that logs and metrics know; traces have gRPC's own (`game.GameService`). */
export type BackendName = 'game' | 'player' | 'event' | 'notify'

export interface Backends {
  readonly game: ServiceClient<typeof GameService>
  readonly player: ServiceClient<typeof PlayerService>
  readonly event: ServiceClient<typeof EventService>
  readonly notify: ServiceClient<typeof NotifyService>
  /** What each breaker is doing now. */
  states(): Readonly<Record<BackendName, BreakerState>>
  close(): void
}

export interface BackendsOptions extends Pick<ServiceClientOptions, 'timeoutMs' | 'metadata' | 'onCall'> {
  readonly onBreaker?: (service: string, state: BreakerState) => void
  readonly onRetry?: (service: string) => void
  readonly onReconnect?: (service: string) => void
  /** TLS with these files; absent: plaintext h2c, as the platform runs them. */
  readonly tls?: BackendTls
  /** Each `host:port`, or a grpc-js target (`dns:///host:port`): then calls go round all its addresses. */
  readonly addresses: Readonly<Record<BackendName, string>>
}

// Keepalive notices a dead peer in 15 s; the short reconnect backoff brings a restarted backend back within 2 s.
const channel = {
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 5000,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 200,
  'grpc.max_reconnect_backoff_ms': 2000,
  'grpc.max_receive_message_length': 4 * 1024 * 1024,
  'grpc.enable_retries': 0,
}

const roundRobin = JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] })

/** Names are asked again when a connection is lost; sooner than by default, so that a new replica gets its share. */
function spread(address: string): ClientOptions {
  if (!/^(?:dns|ipv4|ipv6):/i.test(address)) return {}
  return { 'grpc.service_config': roundRobin, 'grpc.dns_min_time_between_resolutions_ms': 5000 }
}

function secure(tls: BackendTls | undefined): {
  readonly credentials: ChannelCredentials
  readonly channel: ClientOptions
} {
  if (!tls) return { credentials: credentials.createInsecure(), channel: {} }
  const { ca, key, cert, serverName } = tls
  return {
    credentials: credentials.createSsl(ca ?? null, key ?? null, cert ?? null),
    channel: serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName },
  }
}

/** Clients of all backends. A scheme in an address is dropped, but `dns:`, `ipv4:` and `ipv6:`. */
export function createBackends({ addresses, tls, ...shared }: BackendsOptions): Backends {
  const secured = secure(tls)
  const guardOf = (service: BackendName): BackendGuard =>
    createBackendGuard({
      onState: (state) => shared.onBreaker?.(service, state),
      onRetry: () => shared.onRetry?.(service),
    })
  const guards: Readonly<Record<BackendName, BackendGuard>> = {
    game: guardOf('game'),
    player: guardOf('player'),
    event: guardOf('event'),
    notify: guardOf('notify'),
  }
  const options = (service: BackendName): ServiceClientOptions => ({
    ...shared,
    guard: guards[service],
    // By the name that the breaker and the retries have: what belongs together can be asked for together.
    onCall: (call) => shared.onCall?.({ ...call, service }),
    onReconnect: () => shared.onReconnect?.(service),
    address: addresses[service].replace(/^(?!dns:)[a-z][a-z0-9+.-]*:\/\//i, '').replace(/\/$/, ''),
    credentials: secured.credentials,
    channel: { ...channel, ...secured.channel, ...spread(addresses[service]) },
  })
  const connect = <S extends DescService>(service: S, name: BackendName): ServiceClient<S> =>
    traceClient(service, createServiceClient(service, options(name)), addresses[name])
  const game = connect(GameService, 'game')
  const player = connect(PlayerService, 'player')
  const event = connect(EventService, 'event')
  const notify = connect(NotifyService, 'notify')
  return {
    game,
    player,
    event,
    notify,
    states: () => ({
      game: guards.game.state,
      player: guards.player.state,
      event: guards.event.state,
      notify: guards.notify.state,
    }),
    close() {
      for (const client of [game, player, event, notify]) client.close()
    },
  }
}
