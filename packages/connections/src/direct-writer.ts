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
  /** Something was written to the stream: until it is empty nothing may pass it. */
  waitForStream(): void
  /** Bytes that libuv has and the network has not. */
  readonly pendingBytes: number
}

/** Undefined for anything but a plain TCP socket of a Node that works as we know it. `onDrain` as `SocketEvents.onDrain`. */
export function createDirectWriter(stream: Duplex, onDrain: () => void): DirectWriter | undefined {
  const binding = findBinding()
  const handle = findHandle(stream)
  if (binding === undefined || handle === undefined) return undefined
  return new HandleWriter({ stream, handle, binding, onDrain })
}

interface HandleWriterOptions {
  readonly stream: Duplex
  readonly handle: Handle
  readonly binding: StreamBinding
  readonly onDrain: () => void
}

// Few fields, and the stream not touched: what is not in the processor's cache costs more here than all instructions.
class HandleWriter implements DirectWriter {
  // The answer to the handshake may still be in the stream.
  #isBehindStream = true
  readonly #handle: Handle
  // Used again as long as writes complete at once: then nothing keeps it.
  #request: WriteRequest
  readonly #state: ArrayLike<number>
  readonly #wasAsync: number
  #pendingBytes = 0
  readonly #options: HandleWriterOptions

  constructor(options: HandleWriterOptions) {
    const { streamBaseState, kLastWriteWasAsync } = options.binding
    this.#options = options
    this.#handle = options.handle
    this.#state = streamBaseState
    this.#wasAsync = kLastWriteWasAsync
    this.#request = this.#createRequest()
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  waitForStream(): void {
    this.#isBehindStream = true
  }

  write(bytes: Buffer): boolean {
    if (this.#isBehindStream && !this.#passStream()) return false
    // On a handle that is closed this is an error like any other.
    if (this.#handle.writeBuffer(this.#request, bytes) !== 0) this.#options.stream.destroy()
    else if (this.#state[this.#wasAsync] === 1) this.#keep(bytes)
    return true
  }

  #passStream(): boolean {
    const { stream, handle } = this.#options
    if (stream.writableLength > 0 || !stream.writable || handleOf(stream) !== handle) return false
    this.#isBehindStream = false
    return true
  }

  #createRequest(): WriteRequest {
    const request = new this.#options.binding.WriteWrap()
    request.oncomplete = ignore
    return request
  }

  #keep(bytes: Buffer): void {
    const { stream, onDrain } = this.#options
    this.#pendingBytes += bytes.length
    this.#request.buffer = bytes
    this.#request.oncomplete = (status) => {
      this.#pendingBytes -= bytes.length
      if (status < 0) stream.destroy()
      else if (this.#pendingBytes === 0) onDrain()
    }
    this.#request = this.#createRequest()
  }
}

function ignore(): void {}

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
