import { afterWrites, type DirectWay, type SocketEvents, type SocketLike } from '@gw/connections'

/** A socket without a network, as much of one as a connection sees. Bytes wait until the test drains them. */
export class FakeSocket implements SocketLike {
  /** What the peer has got. */
  readonly written: Buffer[] = []
  readonly calls: string[] = []
  bufferedBytes = 0
  /** The peer reads: nothing stays behind. */
  isFast = true
  /** There is a way past `write`. */
  isDirect = false
  #events: SocketEvents | undefined

  get events(): SocketEvents {
    if (this.#events === undefined) throw new Error('Nobody listens')
    return this.#events
  }

  listen(events: SocketEvents): void {
    this.#events = events
  }

  write(frames: Buffer): number {
    this.calls.push('write')
    this.written.push(frames)
    if (!this.isFast) this.bufferedBytes += frames.length
    return this.bufferedBytes
  }

  get direct(): DirectWay | undefined {
    return this.isDirect ? this.#way : undefined
  }

  ping(): void {
    this.calls.push('ping')
  }

  close(code: number, reason: string): void {
    this.calls.push(`close ${code} ${reason}`)
  }

  terminate(): void {
    this.calls.push('terminate')
    this.events.onClose(1006, '')
  }

  pause(): void {
    this.calls.push('pause')
  }

  resume(): void {
    this.calls.push('resume')
  }

  /** The network takes everything. */
  drain(): void {
    this.bufferedBytes = 0
    this.events.onDrain()
  }

  /** Something went out by another way: bytes must go through `write` until one has. */
  detour(): void {
    this.events.onDetour()
  }

  readonly #way: DirectWay = {
    handle: this,
    write: writeDirect,
    settle: (bytes) => {
      this.calls.push('settle')
      return (this.bufferedBytes += bytes.length)
    },
  }

  /** The payloads of all frames that were written, in order. Frames here are shorter than 126 bytes or have a 16-bit length. */
  get texts(): string[] {
    const all = Buffer.concat(this.written)
    const texts: string[] = []
    for (let at = 0; at < all.length;) {
      const short = all.readUInt8(at + 1)
      const [start, length] = short < 126 ? [at + 2, short] : [at + 4, all.readUInt16BE(at + 2)]
      texts.push(all.toString('utf8', start, start + length))
      at = start + length
    }
    return texts
  }
}

function writeDirect(handle: object, bytes: Buffer): boolean {
  if (!(handle instanceof FakeSocket)) throw new TypeError('Not a handle of ours')
  handle.calls.push('direct')
  handle.written.push(bytes)
  return handle.isFast
}

/** Resolves behind everything that is due in this turn. */
export function endOfTurn(): Promise<void> {
  return new Promise(afterWrites)
}
