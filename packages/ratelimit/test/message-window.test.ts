import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MessageWindow } from '../src/message-window.ts'
import { SlidingLog } from './sliding-log.ts'

test('admits exactly the limit in any window, and its waits are exact', () => {
  const waits = fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 50, maxLength: 300 })
  fc.assert(
    fc.property(waits, fc.integer({ min: 1, max: 20 }), (all, limit) => {
      const window = new MessageWindow(limit, 100)
      const log = new SlidingLog(100)
      let nowMs = 0
      for (const waitMs of all) {
        nowMs += waitMs
        const left = window.waitMs(nowMs)
        if (left > 0) {
          expect(window.waitMs(nowMs + left - 1)).toBe(1)
          nowMs += left
        }
        expect(window.waitMs(nowMs)).toBe(0)
        window.add(nowMs)
        log.add(nowMs, 1)
      }
      expect(log.most()).toBeLessThanOrEqual(limit)
    }),
  )
})
