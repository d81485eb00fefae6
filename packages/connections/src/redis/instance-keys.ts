import { ConnectionsError } from '../connections-error.ts'

/** The keys of one life of an instance, in the order that the scripts expect; they share a slot. */
export function keysOf(prefix: string, life: string): readonly string[] {
  return ['lease', 'conns', 'users', 'channels', 'claim'].map((name) => `${prefix}:{${life}}:${name}`)
}

/** The key of all lives. */
export function directoryOf(prefix: string): string {
  return `${prefix}:{instances}`
}

/** A life is the instance's id and what tells it from its other lives. */
export function instanceOf(life: string): string {
  return life.slice(0, life.lastIndexOf('~'))
}

/** What all index entries of a user or channel begin with. JSON has no NUL, so no name is the beginning of another. */
export function indexPrefix(name: string): string {
  return `${JSON.stringify(name)}\0`
}

/** Throws `invalid` for an id that would not be one part of a key. */
export function checkInstanceId(instanceId: string): void {
  if (!/^[\w.:-]{1,128}$/.test(instanceId))
    throw new ConnectionsError('invalid', 'An instance id has 1 to 128 letters, digits or any of . : _ -')
}
