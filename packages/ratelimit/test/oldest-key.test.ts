import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OldestKey } from '../src/oldest-key.ts'

test('is the first key of the map, whatever was set, set again, deleted and cleared', () => {
  const step = fc.record({ do: fc.constantFrom('set', 'touch', 'delete', 'evict', 'clear'), key: fc.nat(20) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const map = new Map<number, true>()
      const oldest = new OldestKey(map)
      const remove = (key: number): void => {
        map.delete(key)
        oldest.deleted(key)
      }
      for (const { do: what, key } of steps) {
        if (what === 'touch' || what === 'delete') remove(key)
        if (what === 'set' || what === 'touch') map.set(key, true)
        const first = oldest.peek()
        if (what === 'evict' && first !== undefined) remove(first)
        if (what === 'clear' && key === 0) {
          map.clear()
          oldest.cleared()
        }
        expect(oldest.peek()).toBe([...map.keys()][0])
      }
    }),
    { numRuns: 300 },
  )
})
