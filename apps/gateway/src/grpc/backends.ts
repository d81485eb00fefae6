/** The gRPC services behind the gateway. */
import { credentials } from '@grpc/grpc-js'
import { EventService } from './gen/event/event_pb.ts'
import { GameService } from './gen/game/game_pb.ts'
import { NotifyService } from './gen/notify/notify_pb.ts'
import { PlayerService } from './gen/player/player_pb.ts'
import { type BreakerState, createBackendGuard } from './backend-guard.ts'
import { createServiceClient, type ServiceClient, type ServiceClientOptions } from './service-client.ts'

export interface Backends {
  readonly game: ServiceClient<typeof GameService>
  readonly player: ServiceClient<typeof PlayerService>
  readonly event: ServiceClient<typeof EventService>
  readonly notify: ServiceClient<typeof NotifyService>
  close(): void
}

export interface BackendsOptions extends Pick<ServiceClientOptions, 'timeoutMs' | 'metadata' | 'onCall'> {
  readonly onBreaker?: (service: string, state: BreakerState) => void
  readonly onRetry?: (service: string) => void
  readonly onReconnect?: (service: string) => void
  readonly addresses: {
    readonly game: string
    readonly player: string
    readonly event: string
    readonly notify: string
  }
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

/** Clients of all backends; plaintext h2c, as the platform runs them. A scheme in an address is dropped. */
export function createBackends({ addresses, ...shared }: BackendsOptions): Backends {
  const options = (service: string, address: string): ServiceClientOptions => ({
    ...shared,
    guard: createBackendGuard({
      onState: (state) => shared.onBreaker?.(service, state),
      onRetry: () => shared.onRetry?.(service),
    }),
    onReconnect: () => shared.onReconnect?.(service),
    address: address.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/\/$/, ''),
    credentials: credentials.createInsecure(),
    channel,
  })
  const game = createServiceClient(GameService, options('game', addresses.game))
  const player = createServiceClient(PlayerService, options('player', addresses.player))
  const event = createServiceClient(EventService, options('event', addresses.event))
  const notify = createServiceClient(NotifyService, options('notify', addresses.notify))
  return {
    game,
    player,
    event,
    notify,
    close() {
      for (const client of [game, player, event, notify]) client.close()
    },
  }
}
