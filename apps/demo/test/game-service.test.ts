import { describe, expect, it } from 'vitest'
import { failure, freshKey, startedHand, startTestPlatform, type TestPlatform } from './test-platform.ts'

async function act(
  t: TestPlatform,
  tableId: string,
  [userId, actionType, amount]: readonly [string, string, bigint?],
) {
  const { ok, error } = await t.game.submitAction({
    tableId,
    userId,
    actionType,
    ...(amount === undefined ? {} : { amount }),
    idempotencyKey: freshKey(),
  })
  return ok ? 'ok' : error
}

async function stackTotal(t: TestPlatform, tableId: string, users: readonly string[]): Promise<number> {
  const { state } = await t.game.getTableState({ tableId })
  const stacks = state?.seats.reduce((sum, seat) => sum + Number(seat.stack), 0) ?? 0
  const pots = state?.hand?.pots.reduce((sum, pot) => sum + Number(pot.amount), 0) ?? 0
  const balances = await Promise.all(users.map((accountId) => t.balance.getBalance({ accountId })))
  return stacks + pots + balances.reduce((sum, { balance }) => sum + Number(balance), 0)
}

describe('tables', () => {
  it('creates the Main Table of `system` when there is none', async () => {
    await using t = await startTestPlatform()
    const { tables } = await t.game.listTables({})
    expect(tables).toMatchObject([
      {
        name: 'Main Table',
        ownerId: 'system',
        config: {
          smallBlind: 1n,
          bigBlind: 2n,
          ante: 0n,
          maxPlayers: 9,
          startingStack: 200n,
          turnTimerSeconds: 20,
        },
        seatsTaken: 0,
        occupiedSeatIds: [],
        inProgress: false,
        spectatorCount: 0,
      },
    ])
    expect((await t.game.listTables({})).tables).toHaveLength(1)
  })

  it('creates once per key and deletes twice with the same key', async () => {
    await using t = await startTestPlatform()
    const request = { name: 'One', ownerId: 'alice', idempotencyKey: freshKey() }
    const [first, second] = await Promise.all([t.game.createTable(request), t.game.createTable(request)])
    expect(second).toEqual(first)
    const removal = { tableId: first.tableId, idempotencyKey: freshKey() }
    await Promise.all([t.game.deleteTable(removal), t.game.deleteTable(removal)])
    expect(await failure(t.game.getTable({ tableId: first.tableId }))).toEqual({
      code: 5,
      details: 'TABLE_NOT_FOUND',
    })
    expect(await failure(t.game.deleteTable({ ...removal, idempotencyKey: freshKey() }))).toMatchObject({
      code: 5,
    })
  })

  it('refuses what a gateway must not send', async () => {
    await using t = await startTestPlatform()
    const create = (change: object) =>
      failure(t.game.createTable({ name: 'T', ownerId: 'alice', idempotencyKey: freshKey(), ...change }))
    expect(await create({ idempotencyKey: ' ' })).toEqual({ code: 3, details: 'MISSING_IDEMPOTENCY_KEY' })
    expect(await create({ name: ' ' })).toEqual({ code: 3, details: 'INVALID_TABLE_NAME' })
    expect(await create({ ownerId: '' })).toEqual({ code: 3, details: 'MISSING_USER_ID' })
    expect(await create({ config: { smallBlind: 10n, bigBlind: 15n } })).toEqual({
      code: 3,
      details: 'INVALID_TABLE_CONFIG',
    })
    expect(await create({ config: { maxPlayers: 10 } })).toMatchObject({ code: 3 })
    const seat = { tableId: 'none', userId: 'alice', seatId: 0, idempotencyKey: freshKey() }
    expect(await failure(t.game.joinSeat({ ...seat, userId: '' }))).toEqual({
      code: 3,
      details: 'MISSING_USER_ID',
    })
    expect(await failure(t.game.joinSeat({ ...seat, tableId: '' }))).toEqual({
      code: 3,
      details: 'MISSING_TABLE_ID',
    })
    expect(await failure(t.game.joinSeat({ ...seat, idempotencyKey: '' }))).toMatchObject({ code: 3 })
  })
})

describe('seats', () => {
  it('takes the starting stack from the account, and brings the chips back', async () => {
    await using t = await startTestPlatform()
    const { tables } = await t.game.listTables({})
    const tableId = tables[0]?.tableId ?? ''
    const join = { tableId, userId: 'alice', seatId: 3, idempotencyKey: freshKey() }
    expect(await t.game.joinSeat(join)).toMatchObject({ ok: false, error: 'ACCOUNT_NOT_FOUND' })
    await t.balance.ensureAccount({ accountId: 'alice', initialBalance: 150n })
    expect(await t.game.joinSeat(join)).toMatchObject({ ok: false, error: 'INSUFFICIENT_BALANCE' })
    // A refusal is not remembered: the same key works when the chips are there.
    await t.balance.processCashOut({ accountId: 'alice', tableId, amount: 150n, idempotencyKey: freshKey() })
    const joins = await Promise.all([t.game.joinSeat(join), t.game.joinSeat(join)])
    expect(joins.map(({ ok }) => ok)).toEqual([true, true])
    expect((await t.balance.getBalance({ accountId: 'alice' })).balance).toBe(100n)
    const { state } = await t.game.getTableState({ tableId })
    expect(state?.seats[3]).toMatchObject({ userId: 'alice', stack: 200n, status: 'SEATED' })

    const again = { ...join, idempotencyKey: freshKey() }
    expect(await t.game.joinSeat({ ...again, seatId: 4 })).toMatchObject({
      ok: false,
      error: 'ALREADY_SEATED',
    })
    const other = { ...again, userId: 'bob' }
    expect(await t.game.joinSeat(other)).toMatchObject({ ok: false, error: 'SEAT_NOT_AVAILABLE' })
    expect(await t.game.joinSeat({ ...other, seatId: 9 })).toMatchObject({ error: 'SEAT_NOT_AVAILABLE' })
    expect(await t.game.joinSeat({ ...other, tableId: 'none' })).toMatchObject({ error: 'TABLE_NOT_FOUND' })

    const leave = { tableId, userId: 'alice', idempotencyKey: freshKey() }
    expect(await t.game.leaveSeat(leave)).toMatchObject({ ok: true })
    expect((await t.balance.getBalance({ accountId: 'alice' })).balance).toBe(300n)
    expect(await t.game.leaveSeat(leave)).toMatchObject({ ok: true })
    expect(await t.game.leaveSeat({ ...leave, idempotencyKey: freshKey() })).toMatchObject({
      ok: false,
      error: 'PLAYER_NOT_AT_TABLE',
    })
    expect((await t.balance.getBalance({ accountId: 'alice' })).balance).toBe(300n)
  })

  it('answers INTERNAL and frees the seat when Balance fails', async () => {
    await using t = await startTestPlatform()
    await t.balance.ensureAccount({ accountId: 'alice', initialBalance: 500n })
    const tableId = (await t.game.listTables({})).tables[0]?.tableId ?? ''
    t.platform.faults.add({
      service: 'balance',
      kind: 'error',
      method: 'ReserveForBuyIn',
      code: 'UNAVAILABLE',
      details: 'x',
      delayMs: 0,
      count: 1,
    })
    const join = { tableId, userId: 'alice', seatId: 0, idempotencyKey: freshKey() }
    expect(await t.game.joinSeat(join)).toMatchObject({ ok: false, error: 'INTERNAL' })
    t.platform.faults.add({
      service: 'balance',
      kind: 'error',
      method: 'CommitReservation',
      code: 'INTERNAL',
      details: 'x',
      delayMs: 0,
      count: 1,
    })
    expect(await t.game.joinSeat(join)).toMatchObject({ ok: false, error: 'COMMIT_FAILED' })
    expect(await t.balance.getBalance({ accountId: 'alice' })).toMatchObject({
      balance: 500n,
      availableBalance: 500n,
    })
    expect((await t.game.getTableState({ tableId })).state?.seats[0]?.status).toBe('EMPTY')
  })

  it('returns the buy-in of a player whose table is deleted meanwhile', async () => {
    await using t = await startTestPlatform()
    await t.balance.ensureAccount({ accountId: 'alice', initialBalance: 500n })
    const tableId = (await t.game.listTables({})).tables[0]?.tableId ?? ''
    t.platform.faults.add({
      service: 'balance',
      method: 'CommitReservation',
      kind: 'delay',
      delayMs: 300,
      code: 'UNAVAILABLE',
      details: '',
      count: 1,
    })
    const joining = t.game.joinSeat({ tableId, userId: 'alice', seatId: 0, idempotencyKey: freshKey() })
    await expect.poll(() => t.platform.calls.list({ method: 'CommitReservation' }).length).toBe(1)
    await t.game.deleteTable({ tableId, idempotencyKey: freshKey() })
    expect(await joining).toMatchObject({ ok: false, error: 'TABLE_LOST' })
    expect((await t.balance.getBalance({ accountId: 'alice' })).balance).toBe(500n)
  })

  it('gives everything back when the table is deleted in the middle of a hand', async () => {
    await using t = await startTestPlatform()
    const tableId = await startedHand(t)
    await act(t, tableId, ['bob', 'RAISE', 60n])
    await t.game.deleteTable({ tableId, idempotencyKey: freshKey() })
    await expect.poll(async () => (await t.balance.getBalance({ accountId: 'alice' })).balance).toBe(1000n)
    await expect.poll(async () => (await t.balance.getBalance({ accountId: 'bob' })).balance).toBe(1000n)
  })
})

describe('a hand', () => {
  it('starts by itself, shows each player only their own cards, and refuses with the right codes', async () => {
    await using t = await startTestPlatform()
    const tableId = await startedHand(t)
    const alice = await t.game.getTableState({ tableId, userId: 'alice' })
    const bob = await t.game.getTableState({ tableId, userId: 'bob' })
    expect(alice.holeCards).toHaveLength(2)
    expect(bob.holeCards).toHaveLength(2)
    expect(alice.holeCards).not.toEqual(bob.holeCards)
    expect((await t.game.getTableState({ tableId, userId: 'eve' })).holeCards).toEqual([])
    expect((await t.game.getTableState({ tableId })).holeCards).toEqual([])
    expect(alice.state).toMatchObject({
      button: 1,
      hand: {
        street: 'PREFLOP',
        turn: 1,
        currentBet: 10n,
        minRaise: 10n,
        roundContributions: { 0: 10n, 1: 5n, 2: 0n, 3: 0n, 4: 0n, 5: 0n },
        actedSeats: [],
        raiseCapped: false,
        bigBlind: 10n,
        lastAggressor: 0,
      },
    })
    expect(alice.state?.hand?.pots.map((pot) => pot.amount)).toEqual([10n, 5n])
    expect(await act(t, tableId, ['alice', 'CALL'])).toBe('NOT_YOUR_TURN')
    expect(await act(t, tableId, ['eve', 'FOLD'])).toBe('PLAYER_NOT_AT_TABLE')
    expect(await act(t, 'none', ['bob', 'CALL'])).toBe('TABLE_NOT_FOUND')
    expect(await act(t, tableId, ['bob', 'DANCE'])).toBe('ILLEGAL_ACTION')
    expect(await act(t, tableId, ['bob', 'RAISE'])).toBe('MISSING_AMOUNT')
    expect(await act(t, tableId, ['bob', 'RAISE', 0n])).toBe('INVALID_AMOUNT')
    expect(await act(t, tableId, ['bob', 'RAISE', 15n])).toBe('AMOUNT_TOO_SMALL')
    expect(await act(t, tableId, ['bob', 'RAISE', 201n])).toBe('AMOUNT_TOO_LARGE')
  })

  it('is applied once per key', async () => {
    await using t = await startTestPlatform()
    const tableId = await startedHand(t)
    const call = { tableId, userId: 'bob', actionType: 'CALL', idempotencyKey: freshKey() }
    const answers = await Promise.all([t.game.submitAction(call), t.game.submitAction(call)])
    expect(answers.map(({ ok }) => ok)).toEqual([true, true])
    const { state } = await t.game.getTableState({ tableId })
    expect(state?.hand?.actions.filter((action) => action.type === 'CALL')).toHaveLength(1)
  })

  it('goes to the showdown; the record, the replay and the statistics say the same', async () => {
    await using t = await startTestPlatform()
    const tableId = await startedHand(t)
    const handId = (await t.game.getTableState({ tableId })).state?.hand?.handId ?? ''
    expect(await act(t, tableId, ['bob', 'CALL'])).toBe('ok')
    expect(await act(t, tableId, ['alice', 'CHECK'])).toBe('ok')
    expect(await act(t, tableId, ['alice', 'BET', 20n])).toBe('ok')
    expect(await act(t, tableId, ['bob', 'CALL'])).toBe('ok')
    for (const move of ['alice', 'bob', 'alice', 'bob'].map((user) => [user, 'CHECK'] as const))
      expect(await act(t, tableId, move)).toBe('ok')
    const { state } = await t.game.getTableState({ tableId })
    expect(state?.hand).toBeUndefined()
    expect(await act(t, tableId, ['bob', 'CHECK'])).toBe('NO_HAND_IN_PROGRESS')
    expect(await stackTotal(t, tableId, ['alice', 'bob'])).toBe(2000)

    await expect.poll(async () => (await t.event.getHandHistory({ tableId })).total).toBe(1)
    const record = await t.event.getHandRecord({ handId, requesterId: 'alice' })
    expect(record).toMatchObject({ tableName: 'Duel', config: { smallBlind: 5n, bigBlind: 10n, ante: 0n } })
    expect(record.communityCards).toHaveLength(5)
    expect(record.pots.map((pot) => pot.amount)).toEqual([60n])
    expect(record.winners.reduce((sum, winner) => sum + winner.amount, 0n)).toBe(60n)
    expect(record.participants.map((player) => player.holeCards.length)).toEqual([2, 2])
    const { events } = await t.event.getHandReplay({ handId })
    expect(events.map((event) => event.sequence)).toEqual(events.map((_, index) => index + 1))
    expect(events.map((event) => event.type)).toEqual(
      expect.arrayContaining([
        'HAND_STARTED',
        'BLIND_POSTED',
        'ACTION_TAKEN',
        'SHOWDOWN',
        'POT_AWARDED',
        'HAND_COMPLETED',
      ]),
    )
    expect(JSON.stringify(events.map((event) => event.payload))).not.toContain('holeCards')
    const { statistics } = await t.player.getStatistics({ userId: record.winners[0]?.userId ?? '' })
    expect(statistics).toMatchObject({ handsPlayed: 1, wins: 1, biggestPot: 60 })
  })

  it('keeps a folded hand secret from the others', async () => {
    await using t = await startTestPlatform()
    const tableId = await startedHand(t)
    const handId = (await t.game.getTableState({ tableId })).state?.hand?.handId ?? ''
    expect(await act(t, tableId, ['bob', 'FOLD'])).toBe('ok')
    await expect.poll(async () => (await t.event.getHandsForUser({ userId: 'bob' })).total).toBe(1)
    const shown = async (requesterId: string) =>
      (await t.event.getHandRecord({ handId, requesterId })).participants.map(
        (player) => player.holeCards.length,
      )
    expect(await shown('alice')).toEqual([2, 0])
    expect(await shown('bob')).toEqual([0, 2])
    expect(await shown('eve')).toEqual([0, 0])
  })

  it('checks or folds for whoever lets the time run out, and starts the next hand with the button moved', async () => {
    await using t = await startTestPlatform()
    const tableId = await startedHand(t)
    t.clock.advance(19_999)
    expect((await t.game.getTableState({ tableId })).state?.hand?.turn).toBe(1)
    t.clock.advance(1)
    const folded = (await t.game.getTableState({ tableId })).state
    expect(folded?.hand).toBeUndefined()
    expect(folded?.seats.map((seat) => seat.stack).slice(0, 2)).toEqual([205n, 195n])
    t.clock.advance(3000)
    expect((await t.game.getTableState({ tableId })).state).toMatchObject({ button: 0, hand: { turn: 0 } })
    expect(await act(t, tableId, ['alice', 'CALL'])).toBe('ok')
    t.clock.advance(20_000)
    expect((await t.game.getTableState({ tableId })).state?.hand).toMatchObject({ street: 'FLOP', turn: 1 })
  })

  it('gives nobody more time because somebody else gets up', async () => {
    await using t = await startTestPlatform()
    const users = ['alice', 'bob', 'carol', 'dave']
    const tableId = await startedHand(t, users)
    const turn = (await t.game.getTableState({ tableId })).state?.hand?.turn ?? 0
    t.clock.advance(15_000)
    const bystander = users[(turn + 1) % 4] ?? ''
    await t.game.leaveSeat({ tableId, userId: bystander, idempotencyKey: freshKey() })
    expect((await t.game.getTableState({ tableId })).state?.hand?.turn).toBe(turn)
    t.clock.advance(5000)
    const { state } = await t.game.getTableState({ tableId })
    expect(state?.seats[turn]?.status).toBe('FOLDED')
  })

  it('goes on without a player who gets up, and pays an all-in leaver when it ends', async () => {
    await using t = await startTestPlatform()
    const users = ['alice', 'bob', 'carol']
    const tableId = await startedHand(t, users)
    const turn = (await t.game.getTableState({ tableId })).state?.hand?.turn ?? 0
    const first = users[turn] ?? ''
    expect(await act(t, tableId, [first, 'ALL_IN'])).toBe('ok')
    expect(await t.game.leaveSeat({ tableId, userId: first, idempotencyKey: freshKey() })).toMatchObject({
      ok: true,
    })
    const [second = '', third = ''] = [users[(turn + 1) % 3], users[(turn + 2) % 3]]
    expect(await t.game.leaveSeat({ tableId, userId: third, idempotencyKey: freshKey() })).toMatchObject({
      ok: true,
    })
    expect(await act(t, tableId, [second, 'CALL'])).toBe('ok')
    const { state } = await t.game.getTableState({ tableId })
    expect(state?.hand).toBeUndefined()
    expect(state?.seats.flatMap((seat) => seat.userId ?? [])).toEqual([second])
    await expect.poll(() => stackTotal(t, tableId, users)).toBe(3000)
  })
})

describe('moderation', () => {
  it('lets only the owner kick and mute', async () => {
    await using t = await startTestPlatform()
    const tableId = await startedHand(t)
    const by = (ownerId: string, targetUserId: string) => ({
      tableId,
      ownerId,
      targetUserId,
      idempotencyKey: freshKey(),
    })
    expect(await failure(t.game.mutePlayer(by('bob', 'alice')))).toEqual({
      code: 7,
      details: 'NOT_AUTHORIZED',
    })
    await t.game.mutePlayer(by('alice', 'bob'))
    expect(await t.game.isMuted({ tableId, userId: 'bob' })).toMatchObject({ isMuted: true })
    await t.game.unmutePlayer(by('alice', 'bob'))
    expect(await t.game.isMuted({ tableId, userId: 'bob' })).toMatchObject({ isMuted: false })
    await t.game.kickPlayer(by('alice', 'bob'))
    expect(await failure(t.game.kickPlayer(by('alice', 'bob')))).toEqual({
      code: 13,
      details: 'PLAYER_NOT_AT_TABLE',
    })
    expect(await failure(t.game.kickPlayer({ ...by('alice', 'bob'), tableId: 'none' }))).toMatchObject({
      code: 5,
    })
    const { state } = await t.game.getTableState({ tableId })
    expect(state?.seats.flatMap((seat) => seat.userId ?? [])).toEqual(['alice'])
    expect(await stackTotal(t, tableId, ['alice', 'bob'])).toBe(2000)
  })

  it('counts spectators once, up to the limit', async () => {
    await using t = await startTestPlatform({ maxSpectators: 1 })
    const tableId = (await t.game.listTables({})).tables[0]?.tableId ?? ''
    const spectator = () => ({ tableId, userId: 'eve', idempotencyKey: freshKey() })
    expect(await t.game.joinSpectator(spectator())).toMatchObject({ ok: true })
    expect(await t.game.joinSpectator(spectator())).toMatchObject({ ok: true })
    expect((await t.game.listTables({})).tables[0]?.spectatorCount).toBe(1)
    expect(await t.game.joinSpectator({ ...spectator(), userId: 'fay' })).toMatchObject({
      ok: false,
      error: 'SPECTATORS_FULL',
    })
    expect(await t.game.leaveSpectator(spectator())).toMatchObject({ ok: true })
    expect((await t.game.listTables({})).tables[0]?.spectatorCount).toBe(0)
    expect(await t.game.joinSpectator({ ...spectator(), tableId: 'none' })).toMatchObject({
      error: 'TABLE_NOT_FOUND',
    })
  })
})
