/**
 * The one place that reaches below Node's streams: a buffer handed straight to the socket's libuv handle, as
 * `net.Socket` does it itself, without the stream's bookkeeping for each write. What that saves is for `bench/fan-out.ts` to say.
 * Everything is checked when a socket is adapted; where anything looks different there is no direct writer, and the
 * stream is used. Order with the stream's own writes is libuv's: one queue for each handle.
 */
import type { Duplex } from 'node:stream'

/** A request as Node's C++ side knows it. */
interface WriteRequest {
  oncomplete: (status: number) => void
  /** Keeps the bytes alive while the write is on its way. */
  buffer?: Buffer
}

interface Handle {
  writeBuffer(request: WriteRequest, bytes: Buffer): number
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest
  readonly streamBaseState: ArrayLike<number>
  readonly kLastWriteWasAsync: number
}

export interface DirectWriter {
  /** False: nothing was written, use the stream. */
  write(bytes: Buffer): boolean
  /** Bytes that libuv has and the network has not. */
  readonly pendingBytes: number
}

/** Undefined for anything but a plain TCP socket of a Node that works as we know it. `onDrain` as `SocketEvents.onDrain`. */
export function createDirectWriter(stream: Duplex, onDrain: () => void): DirectWriter | undefined {
  const binding = findBinding()
  const handle = findHandle(stream)
  if (binding === undefined || handle === undefined) return undefined
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = binding
  let pendingBytes = 0
  // Used again as long as writes complete at once: then nothing keeps it.
  let request = new WriteWrap()
  request.oncomplete = () => {}

  function keep(bytes: Buffer): void {
    pendingBytes += bytes.length
    request.buffer = bytes
    request.oncomplete = (status) => {
      pendingBytes -= bytes.length
      if (status < 0) stream.destroy()
      else if (pendingBytes === 0) onDrain()
    }
    request = new WriteWrap()
    request.oncomplete = () => {}
  }

  return {
    write(bytes) {
      // What the stream still holds goes first. A closed stream has let go of its handle.
      if (stream.writableLength > 0 || !stream.writable || handleOf(stream) !== handle) return false
      if (handle.writeBuffer(request, bytes) !== 0) stream.destroy()
      else if (streamBaseState[kLastWriteWasAsync] === 1) keep(bytes)
      return true
    },
    get pendingBytes() {
      return pendingBytes
    },
  }
}

function handleOf(stream: object): unknown {
  return '_handle' in stream ? stream._handle : undefined
}

function findHandle(stream: object): Handle | undefined {
  const handle = handleOf(stream)
  return isHandle(handle) ? handle : undefined
}

function isHandle(handle: unknown): handle is Handle {
  return (
    typeof handle === 'object' &&
    handle !== null &&
    handle.constructor.name === 'TCP' &&
    'writeBuffer' in handle &&
    typeof handle.writeBuffer === 'function'
  )
}

function findBinding(): StreamBinding | undefined {
  if (!('binding' in process) || typeof process.binding !== 'function') return undefined
  try {
    const binding: unknown = process.binding('stream_wrap')
    return isBinding(binding) ? binding : undefined
  } catch {
    // Not allowed here, e.g. under Node's permission model.
    return undefined
  }
}

function isBinding(binding: unknown): binding is StreamBinding {
  return (
    typeof binding === 'object' &&
    binding !== null &&
    'WriteWrap' in binding &&
    typeof binding.WriteWrap === 'function' &&
    'kLastWriteWasAsync' in binding &&
    typeof binding.kLastWriteWasAsync === 'number' &&
    'streamBaseState' in binding &&
    binding.streamBaseState instanceof Int32Array &&
    binding.kLastWriteWasAsync < binding.streamBaseState.length
  )
}
