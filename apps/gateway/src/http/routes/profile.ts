/** `/api/me`, profiles, friends and nicknames, relayed to Player. */
import type { Identity } from '@gw/auth'
import { z } from 'zod'
import type { Backends } from '../../grpc/backends.ts'
import { NicknameSchema, type Profile, StatisticsSchema } from '../../grpc/gen/player/player_pb.ts'
import { type Json, relayJson } from '../../grpc/relay-json.ts'
import { GatewayError } from '../../errors.ts'
import { answers, exampleIds } from './answers.ts'
import { id, nothing } from './inputs.ts'
import { type MountableRoute, route, type RouteCall } from '../route.ts'

/** At most `most` ids: what is no text or blank is left out, what is named twice counts once. */
const idList = (most: number) =>
  z
    .array(z.unknown())
    .transform((items) => {
      const given = items.flatMap((item) => (typeof item === 'string' ? [item.trim()] : []))
      return [...new Set(given.filter((item) => item !== ''))]
    })
    .pipe(z.array(id).max(most))

/** A field of the wrong type is ignored, as it always was. */
const lenient = <T>(schema: z.ZodType<T>) => schema.optional().catch(undefined)

const profileUpdate = z.object({
  nickname: lenient(z.string()),
  avatarUrl: lenient(z.string().nullable()),
  preferences: lenient(
    z.object({
      soundEnabled: lenient(z.boolean()),
      chatEnabled: lenient(z.boolean()),
      showHandStrength: lenient(z.boolean()),
      theme: lenient(z.string()),
    }),
  ),
})

/** A blank username would be refused by the web client: the nickname stands in. */
function shownName(profile: Profile): string {
  return profile.username.trim() === '' ? profile.nickname : profile.username
}

function publicProfile(profile: Profile): Record<string, Json> {
  return {
    userId: profile.userId,
    username: shownName(profile),
    nickname: profile.nickname,
    avatarUrl: profile.avatarUrl === '' ? null : profile.avatarUrl,
  }
}

/** The routes of contract §1.2 for profiles, statistics, friends and nicknames. */
export function profileRoutes(player: Backends['player']): readonly MountableRoute[] {
  async function profileOf(userId: string, call: RouteCall, identity?: Identity): Promise<Profile> {
    const { profile } = await player.getProfile({ userId, username: identity?.username ?? '' }, call.options)
    if (!profile) throw new GatewayError('not_found', 'Profile not found')
    return profile
  }

  async function withStatistics(profile: Profile, call: RouteCall): Promise<Json> {
    const userId = call.caller.subject
    const [{ statistics }, { friends }] = await Promise.all([
      player.getStatistics({ userId }, call.options),
      player.getFriends({ userId }, call.options),
    ])
    return {
      ...publicProfile(profile),
      stats: { handsPlayed: statistics?.handsPlayed ?? 0, wins: statistics?.wins ?? 0 },
      friends: friends.map((friend) => friend.userId),
    }
  }

  /** By user: the update that is under way on this instance, so that none writes what it read before another's write. */
  const updates = new Map<string, Promise<unknown>>()

  function inTurn<T>(userId: string, run: () => Promise<T>): Promise<T> {
    const before = updates.get(userId) ?? Promise.resolve()
    const result = before.then(run)
    const settled = result
      .catch(() => {})
      .then(() => {
        if (updates.get(userId) === settled) updates.delete(userId)
      })
    updates.set(userId, settled)
    return result
  }

  /** The RPC overwrites what it gets and clears an empty avatar: what the caller left out is filled from the profile. */
  async function update(change: z.output<typeof profileUpdate>, call: RouteCall): Promise<Json> {
    const userId = call.caller.subject
    const current = await profileOf(userId, call, call.caller)
    const { nickname, avatarUrl, preferences } = change
    const { profile } = await player.updateProfile(
      {
        userId,
        nickname: nickname ?? '',
        avatarUrl: avatarUrl === undefined ? current.avatarUrl : (avatarUrl ?? ''),
        ...(preferences && {
          preferences: {
            soundEnabled: preferences.soundEnabled ?? current.preferences?.soundEnabled ?? true,
            chatEnabled: preferences.chatEnabled ?? current.preferences?.chatEnabled ?? true,
            showHandStrength: preferences.showHandStrength ?? current.preferences?.showHandStrength ?? true,
            theme: preferences.theme ?? current.preferences?.theme ?? 'auto',
          },
        }),
        idempotencyKey: call.idempotencyKey,
      },
      call.options,
    )
    return withStatistics(profile ?? current, call)
  }

  const bare = { params: nothing, query: nothing, body: nothing, invalid: 'Invalid request' }
  const updateRoute = (method: 'put' | 'post', path: string): MountableRoute =>
    route({
      ...bare,
      method,
      path,
      summary: "Change the caller's profile; what is left out stays.",
      answer: answers.me,
      examples: [
        // Nicknames are taken once.
        { summary: 'Another name', status: 200, body: { nickname: method === 'put' ? 'Annie' : 'Anna' } },
        { summary: 'No picture', status: 200, body: { avatarUrl: null } },
        { summary: 'A picture that is no URL', status: 400, body: { avatarUrl: 'no url' } },
      ],
      body: profileUpdate,
      failure: 'Failed to update profile',
      async handle({ body }, call) {
        return { status: 200, body: await inTurn(call.caller.subject, () => update(body, call)) }
      },
    })

  return [
    route({
      ...bare,
      method: 'get',
      path: '/api/me',
      summary: "The caller's profile, statistics and friends.",
      answer: answers.me,
      examples: [{ summary: 'Oneself', status: 200 }],
      failure: 'Failed to get profile',
      async handle(_input, call) {
        const profile = await profileOf(call.caller.subject, call, call.caller)
        return { status: 200, body: await withStatistics(profile, call) }
      },
    }),
    updateRoute('put', '/api/me'),
    updateRoute('post', '/api/profile'),
    route({
      ...bare,
      method: 'delete',
      path: '/api/me',
      summary: "Delete the caller's profile.",
      answer: answers.nothing,
      examples: [{ summary: 'For good', status: 204 }],
      failure: 'Failed to delete profile',
      async handle(_input, { caller, idempotencyKey, options }) {
        await player.deleteProfile({ userId: caller.subject, idempotencyKey }, options)
        return { status: 204 }
      },
    }),
    route({
      ...bare,
      method: 'get',
      path: '/api/me/statistics',
      summary: "The caller's statistics.",
      answer: answers.statistics,
      examples: [{ summary: 'One’s own', status: 200 }],
      failure: 'Failed to get statistics',
      async handle(_input, { caller, options }) {
        const { statistics } = await player.getStatistics({ userId: caller.subject }, options)
        return { status: 200, body: statistics ? relayJson(StatisticsSchema, statistics) : {} }
      },
    }),
    route({
      ...bare,
      method: 'get',
      path: '/api/profile/:userId',
      summary: "Anyone's public profile.",
      answer: answers.profile,
      examples: [{ summary: 'Somebody', status: 200, params: { userId: exampleIds.friendId } }],
      params: z.object({ userId: id }),
      failure: 'Failed to get profile',
      notFound: 'Profile not found',
      async handle({ params }, call) {
        return { status: 200, body: publicProfile(await profileOf(params.userId, call)) }
      },
    }),
    route({
      ...bare,
      method: 'get',
      path: '/api/friends',
      summary: "The caller's friends.",
      answer: answers.friends,
      examples: [{ summary: 'All', status: 200 }],
      failure: 'Failed to get friends',
      async handle(_input, { caller, options }) {
        const { friends } = await player.getFriends({ userId: caller.subject }, options)
        return { status: 200, body: { friends: friends.map((friend) => friend.userId) } }
      },
    }),
    route({
      ...bare,
      method: 'put',
      path: '/api/friends',
      summary: "Replace the caller's list of friends.",
      answer: answers.friends,
      examples: [
        { summary: 'Two', status: 200, body: { friends: ['ben', 'cat'] } },
        { summary: 'No list', status: 400, body: { friends: 'ben' } },
      ],
      body: z.object({ friends: idList(1000) }),
      invalid: 'friends array is required',
      failure: 'Failed to update friends',
      async handle({ body }, { caller, idempotencyKey, options }) {
        const userId = caller.subject
        const wanted = new Set(body.friends.filter((friend) => friend !== userId))
        const { friends } = await player.getFriends({ userId }, options)
        const present = new Set(friends.map((friend) => friend.userId))
        for (const friendId of wanted)
          if (!present.has(friendId))
            await player.addFriend(
              { userId, friendId, idempotencyKey: `${idempotencyKey}:add:${friendId}` },
              options,
            )
        for (const friendId of present)
          if (!wanted.has(friendId))
            await player.removeFriend(
              { userId, friendId, idempotencyKey: `${idempotencyKey}:remove:${friendId}` },
              options,
            )
        return { status: 200, body: { friends: [...wanted] } }
      },
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/friends',
      summary: 'Add a friend.',
      answer: answers.created,
      examples: [
        { summary: 'One more', status: 201, body: { friendId: exampleIds.friendId } },
        { summary: 'Nobody', status: 400, body: {} },
      ],
      body: z.object({ friendId: id }),
      invalid: 'friendId is required',
      failure: 'Failed to add friend',
      async handle({ body: { friendId } }, { caller, idempotencyKey, options }) {
        await player.addFriend({ userId: caller.subject, friendId, idempotencyKey }, options)
        return { status: 201, body: { ok: true } }
      },
    }),
    route({
      ...bare,
      method: 'delete',
      path: '/api/friends/:friendId',
      summary: 'Remove a friend.',
      answer: answers.nothing,
      examples: [{ summary: 'A friend', status: 204, params: { friendId: exampleIds.friendId } }],
      params: z.object({ friendId: id }),
      failure: 'Failed to remove friend',
      async handle({ params: { friendId } }, { caller, idempotencyKey, options }) {
        await player.removeFriend({ userId: caller.subject, friendId, idempotencyKey }, options)
        return { status: 204 }
      },
    }),
    route({
      ...bare,
      method: 'post',
      path: '/api/nicknames',
      summary: 'Nicknames of several users.',
      answer: answers.nicknames,
      examples: [{ summary: 'Of two', status: 200, body: { userIds: ['ann', 'ben'] } }],
      body: z.object({ userIds: idList(500) }),
      invalid: 'userIds array is required',
      failure: 'Failed to get nicknames',
      async handle({ body: { userIds } }, { options }) {
        const { nicknames } = await player.getNicknames({ userIds }, options)
        return {
          status: 200,
          body: { nicknames: nicknames.map((nickname) => relayJson(NicknameSchema, nickname)) },
        }
      },
    }),
  ]
}
