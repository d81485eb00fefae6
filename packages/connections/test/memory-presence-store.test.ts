import { expect, it } from 'vitest'
import { MemoryPresenceStore } from '@gw/connections'
import { testPresenceStore } from './presence-store.suite.ts'

testPresenceStore((graceMs) => new MemoryPresenceStore({ graceMs }))

it('forgets users who are offline', async () => {
  let now = 1000
  const store = new MemoryPresenceStore({ graceMs: 100, now: () => now })
  for (let at = 0; at < 100; at++) {
    const update = { userId: `u${at}`, connectionId: '1' }
    await store.update({ ...update, status: 'online' })
    await store.update({ ...update, status: 'offline' })
  }
  expect(store.size).toBe(100)
  now += 100
  for (let at = 0; at < 100; at++) await store.settle(`u${at}`)
  expect(store.size).toBe(0)
})

it.each([Number.NaN, -1, Infinity])('refuses a grace of %d ms', (graceMs) => {
  expect(() => new MemoryPresenceStore({ graceMs })).toThrow(expect.objectContaining({ code: 'invalid' }))
})
