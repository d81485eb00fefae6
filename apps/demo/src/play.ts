/**
 * Plays one whole hand through a running gateway: two players and a spectator over WebSocket, each printing what they see.
 * Exit code 0 when the hand reached the showdown and all three saw the same winner; else 1 with the reason.
 *
 * GATEWAY_URL         default http://localhost:4000
 * JWT_HS256_SECRET    signs the three tokens; default: the development secret of `npm start`
 */
import { randomBytes } from 'node:crypto'
import jsonwebtoken from 'jsonwebtoken'
import { developmentSecret } from './config.ts'
import { createGatewayApi } from './play/gateway-api.ts'
import { type Sight, viewHand } from './play/seated-player.ts'
import { openTableSocket, type TableSocket } from './play/table-socket.ts'

const handTimeoutMs = 60_000

async function main(env: NodeJS.ProcessEnv): Promise<void> {
  const gatewayUrl = env['GATEWAY_URL']?.trim() || 'http://localhost:4000'
  const secret = env['JWT_HS256_SECRET']?.trim() || env['JWT_SECRET']?.trim() || developmentSecret
  const tokenOf = (user: string): string =>
    jsonwebtoken.sign({ sub: user, preferred_username: user }, secret, {
      algorithm: 'HS256',
      expiresIn: '10m',
      ...(env['JWT_ISSUER'] ? { issuer: env['JWT_ISSUER'] } : {}),
      ...(env['JWT_AUDIENCE'] ? { audience: env['JWT_AUDIENCE'] } : {}),
    })
  const url = new URL('/ws', gatewayUrl)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const suffix = randomBytes(3).toString('hex')
  const [ann, ben, eve] = [`ann-${suffix}`, `ben-${suffix}`, `eve-${suffix}`]

  for (const user of [ann, ben]) await createGatewayApi(gatewayUrl, tokenOf(user)).openAccount(user, 1000)
  const api = createGatewayApi(gatewayUrl, tokenOf(ann))
  const tableId = await api.createTable(`Play ${suffix}`, { smallBlind: 5, bigBlind: 10, startingStack: 200 })
  console.log(`Table ${tableId} at ${gatewayUrl}: ann and ben play, eve watches.\n`)

  const failed = Promise.withResolvers<never>()
  // Sockets that close before or after the hand reject this without anybody waiting.
  failed.promise.catch(() => {})
  const timer = setTimeout(() => failed.reject(new Error('The hand did not end in 60 s')), handTimeoutMs)
  const sockets: TableSocket[] = []
  const open = async (name: string, user: string): Promise<TableSocket> => {
    const token = tokenOf(user)
    const onClose = (reason: string): void => failed.reject(new Error(reason))
    const socket = await openTableSocket({ name, url: url.href, token, timeoutMs: 10_000, onClose })
    sockets.push(socket)
    return socket
  }
  try {
    const [annSocket, benSocket, eveSocket] = [
      await open('ann', ann),
      await open('ben', ben),
      await open('eve', eve),
    ]
    const print = (line: string): void => console.log(line)
    const views = [
      viewHand({ socket: annSocket, tableId, seatId: 0, print }),
      viewHand({ socket: benSocket, tableId, seatId: 1, print }),
      viewHand({ socket: eveSocket, tableId, seatId: null, print }),
    ]
    for (const socket of sockets) socket.send({ type: 'SubscribeTable', tableId })
    annSocket.send({ type: 'JoinSeat', tableId, seatId: 0, buyInAmount: 200 })
    benSocket.send({ type: 'JoinSeat', tableId, seatId: 1, buyInAmount: 200 })
    const sights = await Promise.race([Promise.all(views), failed.promise])
    report(sights, sockets)
  } finally {
    clearTimeout(timer)
    for (const socket of sockets) socket.close()
    await api.deleteTable(tableId).catch((error: unknown) => console.error(`Cleaning up: ${String(error)}`))
  }
}

function report(sights: readonly Sight[], sockets: readonly TableSocket[]): void {
  console.log()
  for (const [index, sight] of sights.entries()) {
    const counts = [...(sockets[index]?.counts ?? [])].map(([type, count]) => `${type} ${count}`).join(', ')
    const cards = sight.holeCards.length > 0 ? `, own cards ${sight.holeCards.join(' ')}` : ''
    console.log(`${sight.name.padEnd(6)} saw ${sight.street}, board ${sight.board.join(' ')}${cards}`)
    console.log(`       winner ${sight.winners.join(' and ')}; messages: ${counts}`)
  }
  const [first] = sights
  const strange = sockets.flatMap((socket) => socket.strange)
  if (strange.length > 0) throw new Error(`Frames outside the protocol: ${strange.join(' | ')}`)
  if (sights.some((sight) => sight.street !== 'SHOWDOWN' || sight.board.length !== 5))
    throw new Error('The hand ended before the showdown')
  const told = new Set(sights.map((sight) => JSON.stringify([sight.handId, sight.board, sight.winners])))
  if (!first || first.winners.length === 0 || told.size !== 1)
    throw new Error('They did not all see the same end')
  if (sights.filter((sight) => sight.holeCards.length === 2).length !== 2)
    throw new Error('The players, and nobody else, must see two cards of their own')
  console.log(`\nEverybody saw the same hand: ${first.winners.join(' and ')} won.`)
}

main(process.env).catch((error: unknown) => {
  console.error(`\nFailed: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
