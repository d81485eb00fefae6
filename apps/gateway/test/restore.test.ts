import { createConnection } from '@gw/connections'
import { expect, test } from 'vitest'
import type { ClientSession } from '../src/ws/client-session.ts'
import { createRestore, type ResumeChannel } from '../src/ws/restore.ts'
import { silentSocket } from './harness/silent-socket.ts'

test('a client that was at many tables comes back to all, some at a time: others’ calls fit in beside it', async () => {
  let running = 0
  let most = 0
  const followed: string[] = []
  async function atWork<T>(value: T): Promise<T> {
    most = Math.max(most, ++running)
    await new Promise(setImmediate)
    running--
    return value
  }
  const resume: ResumeChannel = (id) =>
    atWork({
      result: { recovered: true, epoch: 'e', seq: 1 },
      follow: () => void followed.push(id),
    })
  const restore = createRestore({
    resume: { table: resume, chat: resume, lobby: resume, presence: resume, standing: resume },
    authorise: () => atWork(undefined),
    startLobby() {},
    startStanding() {},
  })
  const sent: unknown[] = []
  const names = Array.from({ length: 50 }, (_, at) => `T${at}`)
  const positions = names.flatMap((name) =>
    ['chat', 'table'].map((kind) => [`${kind}:${name}`, { epoch: 'e', seq: 1 }] as const),
  )
  const session: ClientSession = {
    connectionId: 'c',
    userId: 'ann',
    identity: { subject: 'ann', expiresAtMs: 0, scopes: [], roles: [], claims: {} },
    address: '127.0.0.1',
    clientType: 'web',
    features: new Set(),
    connection: createConnection({ id: 'c', socket: silentSocket(), onMessage() {}, onClose() {} }),
    send: (message) => sent.push(message),
  }
  await restore(Object.fromEntries(positions), session)
  expect(most).toBe(8)
  expect(followed).toEqual([...names, ...names])
  expect(sent).toHaveLength(1)
  expect(sent[0]).toMatchObject({ type: 'Resumed', channels: { 'table:T49': { recovered: true } } })
})
