import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { createHeapTrim, memoryFlags } from '../src/ws/heap-trim.ts'

/** A trim with a clock of its own: `second(n)` is one second in which n sockets opened. */
function setUp() {
  let opened = 0
  let step = (): void => {}
  let isTicking = true
  const told: boolean[] = []
  const trim = createHeapTrim({
    opened: () => opened,
    everySecond(run) {
      step = run
      return () => (isTicking = false)
    },
    favourMemory: (isOn) => told.push(isOn),
  })
  const second = (sockets: number, times = 1): void => {
    for (let n = 0; n < times; n++) {
      opened += sockets
      step()
    }
  }
  return { trim, told, second, isTicking: () => isTicking }
}

test('memory is favoured three quiet seconds behind a storm of connects, for twenty seconds, once', () => {
  const { told, second } = setUp()
  second(250, 20)
  second(3, 2)
  expect(told).toEqual([])
  second(3)
  expect(told).toEqual([true])
  second(3, 19)
  expect(told).toEqual([true])
  second(3)
  expect(told).toEqual([true, false])
  second(0, 60)
  expect(told).toEqual([true, false])
})

test('a handful of sockets is no storm, and neither is the usual coming and going', () => {
  const { told, second } = setUp()
  second(1999)
  second(20, 1000)
  second(0, 60)
  expect(told).toEqual([])
})

test('a pause within a storm is not its end', () => {
  const { told, second } = setUp()
  for (let n = 0; n < 10; n++) {
    second(2000)
    second(0, 2)
  }
  expect(told).toEqual([])
})

test('speed is favoured again as soon as the next storm comes, which is trimmed after in its turn, minutes later', () => {
  const { told, second } = setUp()
  second(2000)
  second(0, 3)
  second(1200)
  expect(told).toEqual([true])
  second(1200)
  expect(told).toEqual([true, false])
  second(0, 297)
  expect(told).toEqual([true, false])
  second(0)
  expect(told).toEqual([true, false, true])
})

test('closing in the middle of a trim leaves V8 as it was', () => {
  const { trim, told, second, isTicking } = setUp()
  second(2000)
  second(0, 3)
  trim.close()
  trim.close()
  expect(told).toEqual([true, false])
  expect(isTicking()).toBe(false)
})

test('this Node has the flags, as they are said to V8', () => {
  const options = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' })
  for (const isOn of [true, false])
    for (const flag of memoryFlags(isOn))
      expect(options).toContain(`  ${flag.replace(/^--no-/, '--').replace(/=.*/, '')} (`)
})
