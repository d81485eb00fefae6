import fc from 'fast-check'
import { expect, it } from 'vitest'
import { encodeFrame, type Frame } from '@gw/connections'
import { OutboundQueue } from '../src/outbound-queue.ts'

interface Model {
  held: { key: string | undefined; frame: Frame }[]
}

const bytesOf = (frames: readonly Frame[]): number => frames.reduce((sum, frame) => sum + frame.length, 0)

class Hold implements fc.Command<Model, OutboundQueue> {
  readonly text: string
  readonly key: string | undefined
  constructor(text: string, key: string | undefined) {
    this.text = text
    this.key = key
  }
  check = (): boolean => true
  run(model: Model, queue: OutboundQueue): void {
    const frame = encodeFrame(this.text)
    const had = this.key !== undefined && model.held.some(({ key }) => key === this.key)
    if (had) model.held = model.held.filter(({ key }) => key !== this.key)
    model.held.push({ key: this.key, frame })
    expect(queue.add(frame, this.key)).toBe(had)
    agree(model, queue)
  }
  toString = (): string => `hold(${this.text}, ${this.key})`
}

class TakeHeld implements fc.Command<Model, OutboundQueue> {
  readonly maxBytes: number
  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }
  check = (): boolean => true
  run(model: Model, queue: OutboundQueue): void {
    const taken = queue.take(this.maxBytes)
    expect(taken).toEqual(model.held.slice(0, taken.length).map(({ frame }) => frame))
    if (taken.length > 1) expect(bytesOf(taken)).toBeLessThanOrEqual(this.maxBytes)
    if (model.held.length > 0) expect(taken.length).toBeGreaterThan(0)
    model.held = model.held.slice(taken.length)
    agree(model, queue)
  }
  toString = (): string => `takeHeld(${this.maxBytes})`
}

function agree(model: Model, queue: OutboundQueue): void {
  expect(queue.bytes).toBe(bytesOf(model.held.map(({ frame }) => frame)))
  expect(queue.isEmpty).toBe(model.held.length === 0)
}

it('keeps every frame in order, and of one key only the newest', () => {
  const text = fc.string({ maxLength: 20 })
  const key = fc.option(fc.constantFrom('a', 'b', '0', '1'), { nil: undefined })
  const commands = [
    fc.tuple(text, key).map(([value, name]) => new Hold(value, name)),
    fc.nat(60).map((bytes) => new TakeHeld(bytes)),
  ]
  fc.assert(
    fc.property(fc.commands(commands, { maxCommands: 60 }), (run) => {
      fc.modelRun(() => ({ model: { held: [] }, real: new OutboundQueue() }), run)
    }),
  )
})
