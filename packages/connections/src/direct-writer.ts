/**
 * The one place that reaches below Node's streams: a buffer handed straight to the socket's libuv handle, as
 * `net.Socket` does it itself, without the stream's bookkeeping for each write. What that saves is for `bench/fan-out.ts` to say.
 * Everything is checked when a socket is adapted; where anything looks different there is no direct writer, and the
 * stream is used. Order with the stream's own writes is libuv's: one queue for each handle.
 */
import type { Duplex } from 'node:stream'
import type { DirectWay } from './socket-like.ts'

/** A request as Node's C++ side knows it. */
interface WriteRequest {
  oncomplete: (status: number) => void
  /** Keeps the bytes alive while the write is on its way. */
  buffer?: Buffer
}

interface Handle {
  writeBuffer(request: WriteRequest, bytes: Buffer): number
  /** -1 when it is closed. */
  readonly fd: number
  close(callback?: () => void): void
  /** Closes with a RST. */
  reset(callback?: (status: number) => void): number
  [ended]?: () => void
}

const ended: unique symbol = Symbol('ended')

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest
  readonly streamBaseState: ArrayLike<number>
  readonly kLastWriteWasAsync: number
}

export interface DirectWriter extends DirectWay {
  /** False: nothing was written, use the stream. */
  tryWrite(bytes: Buffer): boolean
  /** Something was written to the stream: until it is empty nothing may pass it. */
  waitForStream(): void
  /** No longer so: `write` may be used. */
  readonly isFirst: boolean
  /** Bytes that libuv has and the network has not. */
  readonly pendingBytes: number
}

/** As `SocketEvents` has them. */
export interface DirectWriterEvents {
  readonly onDrain: () => void
  /** The handle is closed next: its file descriptor must not be used from now on. */
  readonly onEnd: () => void
}

/** Undefined for anything but a plain TCP socket of a Node that works as we know it. */
export function createDirectWriter(stream: Duplex, events: DirectWriterEvents): DirectWriter | undefined {
  const requests = writeRequests.find()
  const handle = findHandle(stream)
  if (requests === undefined || handle === undefined) return undefined
  return new HandleWriter({ ...events, stream, handle, requests })
}

/**
 * One request for the writes of all sockets: a write that completes at once leaves it as it was. One that doesn't keeps it,
 * and the next write gets a new one.
 */
class WriteRequests {
  readonly #binding: StreamBinding
  readonly #state: ArrayLike<number>
  readonly #wasAsync: number
  #request: WriteRequest
  #status = 0

  constructor(binding: StreamBinding) {
    this.#binding = binding
    this.#state = binding.streamBaseState
    this.#wasAsync = binding.kLastWriteWasAsync
    this.#request = this.#create()
  }

  readonly write = (handle: object, bytes: Buffer): boolean => {
    this.#status = (handle as Handle).writeBuffer(this.#request, bytes)
    return this.#status === 0 && this.#state[this.#wasAsync] !== 1
  }

  /** Behind a `write` that was false; false: it failed. On a handle that is closed this is an error like any other. */
  keep(bytes: Buffer, onComplete: (status: number) => void): boolean {
    if (this.#status !== 0) return false
    this.#request.buffer = bytes
    this.#request.oncomplete = onComplete
    this.#request = this.#create()
    return true
  }

  #create(): WriteRequest {
    const request = new this.#binding.WriteWrap()
    request.oncomplete = ignore
    return request
  }
}

// Found at the first socket. One for the process, as the binding is.
const writeRequests = {
  found: undefined as WriteRequests | undefined,
  find(): WriteRequests | undefined {
    if (this.found === undefined) {
      const binding = findBinding()
      this.found = binding && new WriteRequests(binding)
    }
    return this.found
  },
}

interface HandleWriterOptions {
  readonly stream: Duplex
  readonly handle: Handle
  readonly requests: WriteRequests
  readonly onDrain: () => void
  readonly onEnd: () => void
}

class HandleWriter implements DirectWriter {
  readonly handle: Handle
  readonly fd: number
  readonly #requests: WriteRequests
  // The answer to the handshake may still be in the stream.
  #isBehindStream = true
  #pendingBytes = 0
  readonly #stream: Duplex
  readonly #onDrain: () => void

  constructor({ stream, handle, requests, onDrain, onEnd }: HandleWriterOptions) {
    this.handle = handle
    this.fd = foretellEnd(handle, onEnd) ? handle.fd : -1
    this.#requests = requests
    this.#stream = stream
    this.#onDrain = onDrain
  }

  get write(): DirectWay['write'] {
    return this.#requests.write
  }

  get isFirst(): boolean {
    return !this.#isBehindStream
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  waitForStream(): void {
    this.#isBehindStream = true
  }

  tryWrite(bytes: Buffer): boolean {
    if (this.#isBehindStream && !this.#passStream()) return false
    if (!this.#requests.write(this.handle, bytes)) this.settle(bytes)
    return true
  }

  settle(bytes: Buffer): number {
    const { length } = bytes
    const isKept = this.#requests.keep(bytes, (status) => {
      this.#pendingBytes -= length
      if (status < 0) this.#stream.destroy()
      else if (this.#pendingBytes === 0) this.#onDrain()
    })
    if (isKept) this.#pendingBytes += length
    else this.#stream.destroy()
    return this.#pendingBytes
  }

  #passStream(): boolean {
    const { writableLength, writable } = this.#stream
    if (writableLength > 0 || !writable || handleOf(this.#stream) !== this.handle) return false
    this.#isBehindStream = false
    return true
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

/**
 * Every end of a socket closes its handle by one of these two, and nothing else does; then the kernel may give the file
 * descriptor to the next connection. False: this Node closes in another way.
 */
function foretellEnd(handle: Handle, onEnd: () => void): boolean {
  if (typeof handle.close !== 'function' || typeof handle.reset !== 'function') return false
  if (typeof handle.fd !== 'number' || handle[ended] !== undefined) return false
  handle[ended] = onEnd
  handle.close = closeHandle
  handle.reset = resetHandle
  return true
}

// One function each for all handles.
function closeHandle(this: Handle, callback?: () => void): void {
  this[ended]?.()
  Object.getPrototypeOf(this).close.call(this, callback)
}

function resetHandle(this: Handle, callback?: (status: number) => void): number {
  this[ended]?.()
  return Object.getPrototypeOf(this).reset.call(this, callback)
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
