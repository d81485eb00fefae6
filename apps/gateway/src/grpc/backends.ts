/** The gRPC services behind the gateway. */
import { credentials } from '@grpc/grpc-js'
import { EventService } from './gen/event/event_pb.ts'
import { GameService } from './gen/game/game_pb.ts'
import { NotifyService } from './gen/notify/notify_pb.ts'
import { PlayerService } from './gen/player/player_pb.ts'
import { createServiceClient, type ServiceClient, type ServiceClientOptions } from './service-client.ts'

export interface Backends {
  readonly game: ServiceClient<typeof GameService>
  readonly player: ServiceClient<typeof PlayerService>
  readonly event: ServiceClient<typeof EventService>
  readonly notify: ServiceClient<typeof NotifyService>
  close(): void
}

export interface BackendsOptions extends Pick<ServiceClientOptions, 'timeoutMs' | 'metadata' | 'onCall'> {
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
  const options = (address: string): ServiceClientOptions => ({
    ...shared,
    address: address.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/\/$/, ''),
    credentials: credentials.createInsecure(),
    channel,
  })
  const game = createServiceClient(GameService, options(addresses.game))
  const player = createServiceClient(PlayerService, options(addresses.player))
  const event = createServiceClient(EventService, options(addresses.event))
  const notify = createServiceClient(NotifyService, options(addresses.notify))
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
