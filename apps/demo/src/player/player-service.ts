import type { PlayerService } from '../gen/player/player_pb.ts'
import type { Handlers } from '../grpc/grpc-server.ts'
import type { IdempotencyCache } from '../idempotency.ts'
import { PlatformError, requireText } from '../platform-error.ts'
import type { Friends } from './friends.ts'
import type { Profiles } from './profiles.ts'
import type { StatisticsBook } from './statistics.ts'

const hourMs = 3_600_000
const maxIds = 500

export interface PlayerServiceOptions {
  readonly profiles: Profiles
  readonly friends: Friends
  readonly statistics: StatisticsBook
  readonly idempotency: IdempotencyCache
}

/** player.PlayerService: profiles, friends and statistics. */
export function createPlayerService(options: PlayerServiceOptions): Handlers<typeof PlayerService> {
  const { profiles, friends, statistics, idempotency } = options
  const once = <T>(rpc: string, key: string, run: () => T): Promise<T> =>
    idempotency.once({ rpc, key, ttlMs: hourMs, run })
  return {
    getProfile: ({ userId, username, referrerId }) => ({
      profile: profiles.open(requireUser(userId), { username, referrerId }),
    }),
    getProfiles: ({ userIds }) => ({
      profiles: requireUsers(userIds).map((userId) => profiles.open(userId)),
    }),
    updateProfile: (request) =>
      once('UpdateProfile', request.idempotencyKey, () => {
        const { nickname, avatarUrl, preferences } = request
        const profile = profiles.update(requireUser(request.userId), {
          avatarUrl,
          ...(nickname === '' ? {} : { nickname }),
          ...(preferences ? { preferences: { ...preferences, theme: preferences.theme || 'auto' } } : {}),
        })
        return { profile }
      }),
    deleteProfile: (request) =>
      once('DeleteProfile', request.idempotencyKey, () => {
        profiles.remove(requireUser(request.userId))
        return { success: true }
      }),
    getStatistics: ({ userId }) => ({ statistics: statistics.get(requireUser(userId)) }),
    getFriends: ({ userId }) => ({
      friends: friends.list(requireUser(userId)).map((friendId) => {
        const { nickname, avatarUrl } = profiles.open(friendId)
        return { userId: friendId, nickname, avatarUrl, status: 'ACTIVE' }
      }),
    }),
    addFriend: (request) =>
      once('AddFriend', request.idempotencyKey, () => {
        friends.add(requireUser(request.userId), requireText(request.friendId, 'friend_id is required'))
        return {}
      }),
    removeFriend: (request) =>
      once('RemoveFriend', request.idempotencyKey, () => {
        friends.remove(requireUser(request.userId), requireText(request.friendId, 'friend_id is required'))
        return {}
      }),
    getNicknames: ({ userIds }) => ({
      nicknames: requireUsers(userIds).map((userId) => ({
        userId,
        nickname: profiles.open(userId).nickname,
      })),
    }),
  }
}

function requireUser(userId: string): string {
  return requireText(userId, 'user_id is required')
}

function requireUsers(userIds: readonly string[]): string[] {
  if (userIds.length > maxIds) throw new PlatformError('INVALID_ARGUMENT', `At most ${maxIds} user_ids`)
  return userIds.map(requireUser)
}
