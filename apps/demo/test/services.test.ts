import { describe, expect, it } from 'vitest'
import { failure, freshKey, startTestPlatform } from './test-platform.ts'

describe('balance', () => {
  it('sets chips aside, takes them or lets them go, each once', async () => {
    await using t = await startTestPlatform()
    await t.balance.ensureAccount({ accountId: 'alice', initialBalance: 100n })
    const wish = {
      accountId: 'alice',
      tableId: 't',
      amount: 60n,
      idempotencyKey: freshKey(),
      timeoutSeconds: 30,
    }
    const reserved = await t.balance.reserveForBuyIn(wish)
    expect(reserved).toMatchObject({ ok: true, availableBalance: 40n })
    expect((await t.balance.reserveForBuyIn(wish)).reservationId).toBe(reserved.reservationId)
    const second = await t.balance.reserveForBuyIn({ ...wish, idempotencyKey: freshKey() })
    expect(second).toMatchObject({ ok: false, error: 'INSUFFICIENT_BALANCE' })
    const { reservationId } = reserved
    expect(await t.balance.commitReservation({ reservationId })).toMatchObject({ ok: true })
    expect(await t.balance.commitReservation({ reservationId })).toMatchObject({ ok: true })
    expect(await t.balance.releaseReservation({ reservationId })).toMatchObject({
      ok: false,
      error: 'ALREADY_COMMITTED',
    })
    expect(await t.balance.getBalance({ accountId: 'alice' })).toMatchObject({
      balance: 40n,
      availableBalance: 40n,
      version: 1,
    })

    const other = await t.balance.reserveForBuyIn({ ...wish, amount: 40n, idempotencyKey: freshKey() })
    t.clock.advance(30_000)
    expect((await t.balance.getBalance({ accountId: 'alice' })).availableBalance).toBe(40n)
    expect(await t.balance.commitReservation({ reservationId: other.reservationId })).toMatchObject({
      ok: false,
      error: 'RESERVATION_NOT_FOUND',
    })
  })

  it('refuses bad amounts and unknown accounts', async () => {
    await using t = await startTestPlatform()
    const wish = { accountId: 'alice', tableId: 't', amount: -1n, idempotencyKey: freshKey() }
    expect(await failure(t.balance.reserveForBuyIn(wish))).toEqual({ code: 3, details: 'INVALID_AMOUNT' })
    expect(await failure(t.balance.getBalance({ accountId: 'alice' }))).toEqual({
      code: 5,
      details: 'ACCOUNT_NOT_FOUND',
    })
    expect(await t.balance.processCashOut({ ...wish, amount: 1n, idempotencyKey: freshKey() })).toMatchObject(
      {
        ok: false,
        error: 'ACCOUNT_NOT_FOUND',
      },
    )
    expect(await failure(t.balance.processCashOut({ ...wish, idempotencyKey: '' }))).toMatchObject({
      code: 3,
    })
  })
})

describe('player', () => {
  it('creates a profile by reading it, and keeps the newest username', async () => {
    await using t = await startTestPlatform()
    const first = (await t.player.getProfile({ userId: 'alice-1' })).profile
    expect(first).toMatchObject({
      userId: 'alice-1',
      username: '',
      preferences: { soundEnabled: true, chatEnabled: true, showHandStrength: true, theme: 'auto' },
    })
    expect(first?.nickname).toMatch(/^Playeralice1[a-z0-9]{4}$/)
    const named = (await t.player.getProfile({ userId: 'alice-1', username: 'Alice' })).profile
    expect(named).toMatchObject({ username: 'Alice', nickname: first?.nickname })
    expect((await t.player.getProfile({ userId: 'alice-1' })).profile?.username).toBe('Alice')
    expect(await failure(t.player.getProfile({ userId: ' ' }))).toEqual({
      code: 3,
      details: 'user_id is required',
    })
  })

  it('changes what was sent, by the rules for nicknames and pictures', async () => {
    await using t = await startTestPlatform()
    const update = (change: object, userId = 'alice') =>
      t.player.updateProfile({ userId, idempotencyKey: freshKey(), ...change })
    const avatarUrl = 'https://example.invalid/a.png'
    const changed = await update({
      nickname: ' Ally ',
      avatarUrl,
      preferences: { soundEnabled: true, chatEnabled: false, showHandStrength: false, theme: 'dark' },
    })
    expect(changed.profile).toMatchObject({
      nickname: 'Ally',
      avatarUrl,
      preferences: { soundEnabled: true, chatEnabled: false, theme: 'dark' },
    })
    // An empty nickname is no change, an empty avatar clears.
    expect((await update({})).profile).toMatchObject({
      nickname: 'Ally',
      avatarUrl: '',
      preferences: { theme: 'dark' },
    })
    expect(await failure(update({ nickname: 'x'.repeat(31) }))).toMatchObject({ code: 3 })
    expect(await failure(update({ nickname: '   ' }))).toMatchObject({ code: 3 })
    expect(await failure(update({ avatarUrl: 'javascript:1' }))).toEqual({
      code: 3,
      details: 'Avatar URL is invalid',
    })
    expect(await failure(update({ nickname: 'ALLY' }, 'bob'))).toEqual({
      code: 3,
      details: 'Nickname is already taken',
    })
    await t.player.deleteProfile({ userId: 'alice', idempotencyKey: freshKey() })
    expect((await t.player.getProfile({ userId: 'alice', username: 'Alice' })).profile).toMatchObject({
      nickname: 'Deleted User',
      username: '',
    })
    expect((await update({ nickname: 'Ally' }, 'bob')).profile?.nickname).toBe('Ally')
    const { nicknames } = await t.player.getNicknames({ userIds: ['bob', 'alice'] })
    expect(nicknames).toMatchObject([
      { userId: 'bob', nickname: 'Ally' },
      { userId: 'alice', nickname: 'Deleted User' },
    ])
  })

  it('keeps friends, each once, never oneself', async () => {
    await using t = await startTestPlatform()
    const pair = (friendId: string) => ({ userId: 'alice', friendId, idempotencyKey: freshKey() })
    await t.player.addFriend(pair('bob'))
    await t.player.addFriend(pair('bob'))
    await t.player.addFriend(pair('carol'))
    expect(await failure(t.player.addFriend(pair('alice')))).toEqual({
      code: 3,
      details: 'Cannot add yourself as a friend',
    })
    await t.player.removeFriend(pair('bob'))
    const { friends } = await t.player.getFriends({ userId: 'alice' })
    expect(friends.map(({ userId }) => userId)).toEqual(['carol'])
    expect((await t.player.getStatistics({ userId: 'alice' })).statistics).toMatchObject({
      handsPlayed: 0,
      wins: 0,
    })
  })
})

describe('event', () => {
  const joined = { type: 'PLAYER_JOINED', tableId: 't' }

  it('takes the types it knows, once per key, and refuses the rest', async () => {
    await using t = await startTestPlatform()
    const event = {
      ...joined,
      userId: 'alice',
      seatId: 0,
      payload: { stack: 300 },
      idempotencyKey: freshKey(),
    }
    const first = await t.event.publishEvent(event)
    expect(await t.event.publishEvent(event)).toEqual(first)
    expect(await t.event.getEvent({ eventId: first.eventId })).toMatchObject({
      type: 'PLAYER_JOINED',
      tableId: 't',
      userId: 'alice',
      seatId: 0,
      payload: { stack: 300 },
      sequence: 0,
    })
    expect(await failure(t.event.publishEvent({ ...event, type: 'SESSION_STARTED' }))).toEqual({
      code: 3,
      details: 'Unknown event type: SESSION_STARTED',
    })
    expect(await failure(t.event.publishEvent({ ...event, idempotencyKey: '' }))).toMatchObject({ code: 3 })
    expect(await failure(t.event.getEvent({ eventId: 'none' }))).toEqual({
      code: 5,
      details: 'Event not found',
    })
    expect(await failure(t.event.getHandRecord({ handId: 'none' }))).toEqual({
      code: 5,
      details: 'Hand record not found',
    })
  })

  it('takes session events when told to', async () => {
    await using t = await startTestPlatform({ acceptSessions: true })
    const session = { type: 'SESSION_ENDED', tableId: 'lobby', userId: 'a', idempotencyKey: freshKey() }
    expect(await t.event.publishEvent(session)).toMatchObject({ success: true })
  })

  it('filters, and pages by a cursor that new events do not shift', async () => {
    await using t = await startTestPlatform()
    const publish = async (change: object) =>
      (await t.event.publishEvent({ ...joined, idempotencyKey: freshKey(), ...change })).eventId
    const [a, b, c] = [await publish({}), await publish({ userId: 'bob' }), await publish({})]
    t.clock.advance(1000)
    const page = await t.event.queryEvents({ tableId: 't', limit: 2 })
    expect(page).toMatchObject({ total: 3, hasMore: true, events: [{ eventId: c }, { eventId: b }] })
    await publish({})
    const cursor = page.nextCursor ?? ''
    const rest = await t.event.queryEvents({ tableId: 't', limit: 2, cursor })
    expect(rest).toMatchObject({ hasMore: false, events: [{ eventId: a }] })
    expect(await t.event.queryEvents({ userId: 'bob', types: [] })).toMatchObject({ total: 1 })
    expect(await t.event.queryEvents({ types: ['TABLE_CREATED'] })).toMatchObject({ total: 0 })
    const now = BigInt(Math.floor(t.clock.now() / 1000))
    expect(await t.event.queryEvents({ startTime: { seconds: now, nanos: 0 } })).toMatchObject({ total: 1 })
    expect(await failure(t.event.queryEvents({ limit: -1 }))).toEqual({ code: 3, details: 'Invalid limit' })
    expect(await failure(t.event.queryEvents({ cursor: '??' }))).toEqual({
      code: 3,
      details: 'Invalid cursor',
    })
  })
})

describe('notify', () => {
  it('keeps one subscription per endpoint and says what is missing', async () => {
    await using t = await startTestPlatform()
    const subscription = { endpoint: 'https://push.invalid/1', keys: { p256dh: 'p', auth: 'a' } }
    const register = (change: object) =>
      t.notify.registerSubscription({ userId: 'alice', subscription, idempotencyKey: freshKey(), ...change })
    expect(await register({})).toMatchObject({ ok: true, error: '' })
    expect(await register({})).toMatchObject({ ok: true })
    expect((await t.notify.listSubscriptions({ userId: 'alice' })).subscriptions).toHaveLength(1)
    expect(await register({ subscription: { endpoint: '' } })).toMatchObject({
      ok: false,
      error: 'endpoint is required',
    })
    expect(await register({ subscription: { endpoint: 'https://x.invalid' } })).toMatchObject({
      error: 'keys.p256dh and keys.auth are required',
    })
    expect(await failure(register({ idempotencyKey: '' }))).toMatchObject({ code: 3 })
    const notification = { userId: 'alice', title: 'Your turn', body: '', idempotencyKey: freshKey() }
    expect(await t.notify.sendNotification(notification)).toMatchObject({ ok: true, successCount: 1 })
    const remove = { userId: 'alice', endpoint: subscription.endpoint, idempotencyKey: freshKey() }
    expect(await t.notify.unregisterSubscription(remove)).toMatchObject({ ok: true })
    expect((await t.notify.listSubscriptions({ userId: 'alice' })).subscriptions).toEqual([])
  })
})
