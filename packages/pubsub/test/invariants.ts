import { expect } from 'vitest'
import type { Recorder } from './recorder.ts'

/**
 * Each message follows what came before it without a hole, unless a reset said where it goes on; none came twice.
 * Resets are told from losses by the caller, who knows how many the fault allows.
 */
export function expectGapless({ items }: Recorder): void {
  const broken = items.findIndex((item, at) => {
    const before = items[at - 1]
    if (before === undefined || 'reason' in item) return false
    return before.epoch !== item.epoch || before.seq + 1 !== item.seq
  })
  expect(broken === -1 ? [] : items.slice(broken - 1, broken + 1), 'a hole or a double').toEqual([])
  const places = items.filter((item) => 'data' in item).map(({ epoch, seq }) => `${epoch} ${seq}`)
  expect(new Set(places).size).toBe(places.length)
}
