import { create, toBinary } from '@bufbuild/protobuf'
import { Server, ServerCredentials, type ServerOptions, status } from '@grpc/grpc-js'
import { IsMutedResponseSchema, TableSchema } from '../../src/grpc/gen/game/game_pb.ts'

export type GameHandler = (
  call: { readonly metadata: { getMap(): Record<string, unknown> } },
  callback: (error: { code: status; details: string } | null, value?: Buffer) => void,
) => void

export interface GameServerOptions {
  /** A read. */
  readonly isMuted?: GameHandler
  /** A change. */
  readonly createTable?: GameHandler
  readonly port?: number
  readonly credentials?: ServerCredentials
  readonly options?: ServerOptions
}

export interface GameServer extends AsyncDisposable {
  readonly port: number
  readonly server: Server
}

export const muted = Buffer.from(
  toBinary(IsMutedResponseSchema, create(IsMutedResponseSchema, { isMuted: true })),
)
export const table = Buffer.from(toBinary(TableSchema, create(TableSchema, { tableId: 't' })))

const refuse: GameHandler = (_call, callback) => callback({ code: status.UNIMPLEMENTED, details: '' })

/** Two methods of Game as a real gRPC server; answers are bytes, so that they can be wrong ones. */
export async function serveGame(given: GameServerOptions): Promise<GameServer> {
  const server = new Server(given.options)
  const bytes = (value: Buffer): Buffer => value
  const method = (name: string) => ({
    path: `/game.GameService/${name}`,
    requestStream: false as const,
    responseStream: false as const,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  })
  server.addService(
    { isMuted: method('IsMuted'), createTable: method('CreateTable') },
    { isMuted: given.isMuted ?? refuse, createTable: given.createTable ?? refuse },
  )
  const credentials = given.credentials ?? ServerCredentials.createInsecure()
  const bind = (): Promise<number> =>
    new Promise((resolve, reject) => {
      server.bindAsync(`127.0.0.1:${given.port ?? 0}`, credentials, (error, bound) =>
        error ? reject(error) : resolve(bound),
      )
    })
  // A port that was free a moment ago may be some connection's for an instant.
  let port: number | undefined
  for (let tries = 1; port === undefined; tries++)
    port = await bind().catch((error: unknown) => {
      if (tries === 10) throw error
      return undefined
    })
  return {
    port,
    server,
    async [Symbol.asyncDispose]() {
      server.forceShutdown()
      await Promise.resolve()
    },
  }
}
