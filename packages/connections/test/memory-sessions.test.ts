import { MemoryConnectionStore, MemoryPresenceStore } from '@gw/connections'
import { testSessions } from './sessions.suite.ts'

testSessions(() => ({
  open: (instanceId) => ({
    connections: new MemoryConnectionStore({ instanceId }),
    presence: new MemoryPresenceStore({ graceMs: 30 }),
  }),
  [Symbol.asyncDispose]: async () => {},
}))
