import { createMemoryBroker } from '@gw/pubsub'
import { credentials } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { GameService } from '../src/grpc/gen/game/game_pb.ts'
import { createServiceClient } from '../src/grpc/service-client.ts'
import { createMemberChanges } from '../src/services/member-changes.ts'
import { createMuteEvents } from '../src/services/mute-events.ts'

test('who is muted, unmuted or kicked through one instance is told to all, also when Game did not answer', async () => {
  const broker = createMemoryBroker()
  const heard: unknown[][] = [[], []]
  const instances = heard.map((own) =>
    createMuteEvents({ broker, onChange: (member) => own.push(member), onError() {} }),
  )
  for (const instance of instances) instance.start()
  // Nobody listens there: each call fails, and may have happened all the same.
  const game = createServiceClient(GameService, {
    address: '127.0.0.1:1',
    credentials: credentials.createInsecure(),
    timeoutMs: 200,
  })
  const watched = instances[0]?.watched(game)
  const wish = { tableId: 'T', targetUserId: 'ann', ownerId: 'o', idempotencyKey: 'k' }
  await expect(watched?.mutePlayer(wish)).rejects.toBeInstanceOf(Error)
  await expect(watched?.kickPlayer({ ...wish, targetUserId: 'ben' })).rejects.toBeInstanceOf(Error)
  const expected = ['ann', 'ben'].map((userId) => ({ roomId: 'T', userId }))
  await expect.poll(() => heard).toEqual([expected, expected])
  for (const instance of instances) instance.close()
  game.close()
  await broker.close()
})

test('who came to a table or left it is forgotten by the chat; who stayed is not', () => {
  const forgotten: unknown[] = []
  const note = createMemberChanges((member) => forgotten.push(member))
  const facts = (seated: readonly string[], spectators: readonly string[]) => ({
    seated: new Set(seated),
    spectators: new Set(spectators),
  })
  note('T', facts(['ann'], ['ben']))
  expect(forgotten.splice(0)).toEqual([{ roomId: 'T' }])
  note('T', facts(['ben'], ['ann']))
  expect(forgotten).toEqual([])
  note('T', facts(['ben'], ['cat']))
  expect(forgotten).toEqual([
    { roomId: 'T', userId: 'cat' },
    { roomId: 'T', userId: 'ann' },
  ])
})
