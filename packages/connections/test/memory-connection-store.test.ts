import { MemoryConnectionStore } from '@gw/connections'
import { testConnectionStore } from './connection-store.suite.ts'

testConnectionStore(() => ({
  isShared: false,
  open: (instanceId) => new MemoryConnectionStore({ instanceId }),
  [Symbol.asyncDispose]: async () => {},
}))
