/**
 * Gives all of `bytes` to each socket of `fds`, file descriptors up to the first that is negative, by send(2), and waits for none of
 * them (MSG_DONTWAIT; no SIGPIPE).
 *
 * A socket that took less, or failed, is told of in `rest`: its place in `fds`, then the number of bytes that it took; 0 for an
 * error, which the next write to it brings again. Returns how many those are.
 *
 * Whoever calls must know that each file descriptor is an open socket of its own, with nothing that waits to be written
 * before. Throws a TypeError for arguments of another shape or size, before anything is written: `rest` needs two places
 * for each socket.
 */
type SendAll = (fds: Int32Array, bytes: Uint8Array, rest: Int32Array) => number

/** Undefined where the addon isn't built or doesn't load: then `missingBecause` says why. */
export declare const sendAll: SendAll | undefined

export declare const missingBecause: string | undefined
