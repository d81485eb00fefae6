import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LateWrites } from '../src/late-writes.ts'
import { createWallClock } from '../src/wall-clock.ts'

function never(error: unknown): void {
  throw error
}

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('what has time', () => {
  it('is done together, in its order, after a while', () => {
    const writes = new LateWrites(never)
    const done: number[] = []
    for (const one of [1, 2, 3]) writes.add(() => done.push(one))
    vi.advanceTimersByTime(49)
    expect(done).toEqual([])
    vi.advanceTimersByTime(1)
    expect(done).toEqual([1, 2, 3])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('is done at once when it is much, or when somebody cannot wait', () => {
    const writes = new LateWrites(never)
    const done: number[] = []
    for (let one = 0; one < 100; one++) writes.add(() => done.push(one))
    expect(done).toHaveLength(100)
    writes.add(() => done.push(100))
    writes.flush()
    expect(done).toHaveLength(101)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('takes what comes while it is done', () => {
    const writes = new LateWrites(never)
    const done: string[] = []
    writes.add(() => {
      done.push('first')
      writes.add(() => done.push('of the first'))
    })
    vi.advanceTimersByTime(50)
    expect(done).toEqual(['first'])
    vi.advanceTimersByTime(50)
    expect(done).toEqual(['first', 'of the first'])
  })
})

describe('what has time and fails', () => {
  it('costs nothing but itself', () => {
    const failures: unknown[] = []
    const writes = new LateWrites((error) => failures.push(error))
    const done: number[] = []
    writes.add(() => done.push(1))
    writes.add(() => never('broken'))
    writes.add(() => done.push(3))
    vi.advanceTimersByTime(50)
    expect(done).toEqual([1, 3])
    expect(failures).toEqual(['broken'])
  })

  it('is done at once when no time is left', () => {
    const writes = new LateWrites(never)
    const done: number[] = []
    writes.add(() => done.push(1))
    writes.close()
    writes.add(() => done.push(2))
    expect(done).toEqual([1, 2])
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('the wall clock', () => {
  it('never puts what came later before, though the system tells no parts of a millisecond', () => {
    vi.setSystemTime(Date.UTC(2026, 10, 23))
    const offset = createWallClock()
    const times = Array.from({ length: 100 }, (_, at) => {
      vi.advanceTimersByTime(at % 3)
      return performance.now() + offset()
    })
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(Math.abs((times.at(-1) ?? 0) - Date.now())).toBeLessThan(2)
  })

  it('goes along when the system’s clock is set', () => {
    const offset = createWallClock()
    offset()
    for (const set of [Date.UTC(2030, 0), Date.UTC(2026, 0)]) {
      vi.setSystemTime(set)
      expect(Math.abs(performance.now() + offset() - set)).toBeLessThan(2)
    }
  })

  it('takes a stall of the process for no step of the clock', () => {
    const offset = createWallClock()
    const before = offset()
    vi.spyOn(Date, 'now').mockImplementationOnce(() => {
      const now = performance.timeOrigin + performance.now()
      vi.advanceTimersByTime(20)
      return now + 20
    })
    expect(offset()).toBe(before)
    vi.restoreAllMocks()
  })
})
