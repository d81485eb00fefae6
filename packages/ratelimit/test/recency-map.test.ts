import { collectGarbage } from '@gw/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecencyMap } from '../src/recency-map.ts'

const actions = ['set', 'use', 'get', 'delete', 'evict', 'clear'] as const

test('is a map in the order of last use, whatever was set, used, deleted and cleared', () => {
  const step = fc.record({ action: fc.constantFrom(...actions), key: fc.nat(9).map(String) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const map = new RecencyMap<number>()
      // Of a Map the first is the oldest.
      const model = new Map<string, number>()
      for (const [value, { action, key }] of steps.entries()) {
        const known = model.get(key)
        if (action === 'get') expect(map.get(key)).toBe(known)
        if (action === 'use') expect(map.use(key)).toBe(known)
        if (action === 'set') map.set(key, value)
        if (action === 'delete') map.delete(key)
        if (action === 'set' || action === 'use' || action === 'delete') model.delete(key)
        if (action === 'set') model.set(key, value)
        if (action === 'use' && known !== undefined) model.set(key, known)
        if (action === 'evict' && map.oldest !== undefined) {
          model.delete(map.oldest.key)
          map.delete(map.oldest.key)
        }
        if (action === 'clear' && key === '0') {
          model.clear()
          map.clear()
        }
        const [oldest] = model
        expect([map.size, map.oldest?.key, map.oldest?.value]).toEqual([
          model.size,
          ...(oldest ?? [undefined, undefined]),
        ])
      }
      for (const [key, value] of model) {
        expect([map.oldest?.key, map.oldest?.value]).toEqual([key, value])
        map.delete(key)
      }
      expect(map.oldest).toBeUndefined()
    }),
    { numRuns: 300 },
  )
})

test('holds nothing of what has left it, however often the others were used since', async () => {
  const map = new RecencyMap<object>()
  map.set('old', {})
  const first = new WeakRef({})
  map.set('gone', first.deref() ?? {})
  for (let at = 0; at < 100; at += 1) map.set(`${at}`, {})
  expect(map.oldest?.key).toBe('old')
  map.delete('gone')
  for (let turn = 0; turn < 100; turn += 1)
    for (let at = 0; at < 100; at += 1) {
      map.use(`${at}`)
      map.delete(`${(at + 50) % 100}`)
      map.set(`${(at + 50) % 100}`, {})
    }
  await collectGarbage()
  expect(first.deref()).toBeUndefined()
  expect([map.size, map.oldest?.key]).toEqual([101, 'old'])
})
