import { createSessions, MemoryConnectionStore, MemoryPresenceStore } from '@gw/connections'
import { expect, it } from 'vitest'
import { testSessions } from './sessions.suite.ts'

testSessions(() => ({
  open: (instanceId) => ({
    connections: new MemoryConnectionStore({ instanceId }),
    presence: new MemoryPresenceStore({ graceMs: 30 }),
  }),
  [Symbol.asyncDispose]: async () => {},
}))

it.each([{ sweepMs: 0 }, { sweepMs: Infinity }, { refreshMs: Number.NaN }])(
  'sessions refuse %o, which a timer would run all the time or never',
  (times) => {
    const connections = new MemoryConnectionStore({ instanceId: 'a' })
    expect(() => createSessions({ connections, presence: new MemoryPresenceStore(), ...times })).toThrow(
      expect.objectContaining({ code: 'invalid' }),
    )
  },
)
