import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port that a process of ours is about to listen on. */
export interface WantedPort {
  readonly port: number
  /** The variable that moves it elsewhere. */
  readonly variable: string
  /** For whom it is, in a sentence: "the gateway". */
  readonly owner: string
  /** Nobody outside knows it and nobody asked for it: when it is taken, another one does as well. */
  readonly movable?: boolean
}

/** Those of the ports that cannot be listened on now, with the system's reason (`EADDRINUSE`, `EACCES`). */
export async function takenPorts(
  wanted: readonly WantedPort[],
  host: string,
): Promise<readonly (WantedPort & { readonly reason: string })[]> {
  const results = await Promise.all(
    wanted.map(async (entry) => ({ ...entry, reason: await refusal(entry.port, host) })),
  )
  return results.flatMap(({ reason, ...entry }) => (reason === undefined ? [] : [{ ...entry, reason }]))
}

/** A port that nobody listens on now. */
export async function freePort(host: string): Promise<number> {
  const server = createServer()
  server.listen(0, host)
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('The system gave no port.')
  return address.port
}

/** One sentence for the person at the terminal. */
export function describeTaken({
  port,
  variable,
  owner,
  reason,
}: WantedPort & { readonly reason: string }): string {
  const why = reason === 'EADDRINUSE' ? 'is in use by another program' : `cannot be used (${reason})`
  return `Port ${port} for ${owner} ${why}: stop it, or choose another port, for example \`${variable}=${port < 60_000 ? port + 1000 : port - 1000} npm start\`.`
}

async function refusal(port: number, host: string): Promise<string | undefined> {
  const server = createServer()
  try {
    server.listen(port, host)
    await once(server, 'listening')
    return undefined
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  } finally {
    server.close()
  }
}
