/**
 * Memory for what is read from backends. Node gives each read 64 kB of its own, outside of V8's heap: after 64 MB of them
 * V8 marks the whole heap, which under large answers was a third of all CPU time. Here all connections read into one
 * buffer; a large read is copied into a slab, which is used again when the client has it, a small one into its own size.
 *
 *   socket ──▶ the one buffer ──copy──▶ slab ──▶ parser ──▶ response.write(chunk, … giveBack(chunk)) ──▶ free again
 *
 * A slab that nobody gives back (it held the end of a head, the exchange was cut) is garbage like any other.
 */
import type { OnReadOpts, Socket } from 'node:net'

const slabBytes = 65_536
/** A smaller read is cheaper as memory of its own than as a slab that may not come back. */
const leastForSlab = slabBytes / 2
/** Free ones that are kept, 4 MiB. */
const mostFree = 64

export interface ReadSlabs {
  /** An option of `net.connect` and `tls.connect`. */
  readonly onread: OnReadOpts
  /** `chunk`, and all that was read before it, is needed no more. Only the end of a read frees its slab. */
  readonly giveBack: (chunk: Uint8Array) => void
}

export function createReadSlabs(): ReadSlabs {
  const free: Buffer[] = []
  /** By their memory, those that are out: the slab, and where what was read ends in it. */
  const out = new WeakMap<ArrayBufferLike, { readonly slab: Buffer; readonly end: number }>()

  function copyOf(read: Uint8Array): Buffer {
    if (read.length < leastForSlab) return Buffer.from(read)
    const slab = free.pop() ?? Buffer.allocUnsafeSlow(slabBytes)
    slab.set(read)
    out.set(slab.buffer, { slab, end: read.length })
    return slab.subarray(0, read.length)
  }

  return {
    onread: {
      buffer: Buffer.allocUnsafeSlow(slabBytes),
      // Node calls it as a method of the socket; what `push` says stops the reading as usual.
      callback(this: Socket, length: number, buffer: Uint8Array) {
        return this.push(copyOf(buffer.subarray(0, length)))
      },
    },
    giveBack(chunk) {
      const known = out.get(chunk.buffer)
      if (known === undefined || chunk.byteOffset + chunk.length !== known.end) return
      out.delete(chunk.buffer)
      if (free.length < mostFree) free.push(known.slab)
    },
  }
}
