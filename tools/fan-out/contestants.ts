/** The servers that are measured: each in a process of its own, with what a receiver must say to be in a room. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort, startOtlpSink, startRedis, type TestRedis } from '@gw/testing'
import { compileC } from '@gw/testing/compile-c'
import { type Platform, startGateway, startPlatform, tokenOf } from '../chaos/gateway-process.ts'
import { startProcess } from '../lib/dev-process.ts'
import { isObject } from '../lib/workspace.ts'

/**
 * `rawcast` is a bare epoll loop in C: what the kernel allows. `handle`: what Node allows. `observed` is the gateway with
 * traces as by default, and a publisher whose messages are traced.
 */
export type ContestantName = 'gateway' | 'observed' | 'rawcast' | 'handle' | 'ws' | 'socket.io'

/** One running server. */
export interface Contestant {
  readonly name: ContestantName
  readonly pid: number
  /** wsload's URL; `{i%N}` is the room. */
  readonly url: (rooms: number) => string
  /** wsload's script for a receiver of one of so many rooms. */
  readonly script: (rooms: number) => readonly string[]
  readonly answers?: readonly string[]
  readonly hasTokens: boolean
  /** `FAN_OUT_TO` of the publisher. */
  readonly publishTo: string
  stop(): Promise<unknown>
}

/** What the servers share. */
export interface Ground {
  readonly redis: TestRedis
  readonly platform: Platform
  readonly wsload: string
  /** A file with a token a line, each of another user. */
  readonly tokens: string
  /** Writes a file that lives as long as the ground. */
  writeFile(name: string, lines: readonly string[]): string
  stop(): Promise<void>
}

const users = 10_000

export async function prepareGround(): Promise<Ground> {
  const wsload = await compileC(join(import.meta.dirname, 'wsload.c'))
  const folder = mkdtempSync(join(tmpdir(), 'gw-fan-out-'))
  const redis = await startRedis()
  const platform = await startPlatform()
  const writeFile = (name: string, lines: readonly string[]): string => {
    const file = join(folder, name)
    writeFileSync(file, `${lines.join('\n')}\n`)
    return file
  }
  return {
    redis,
    platform,
    wsload,
    tokens: writeFile(
      'tokens',
      Array.from({ length: users }, (_, at) => tokenOf(`user-${at}`)),
    ),
    writeFile,
    async stop() {
      await platform.stop()
      redis.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

const capacity = {
  MAX_CONNECTIONS: '20000',
  MAX_CONNECTIONS_PER_ADDRESS: '20000',
  WS_RATE_LIMIT_MAX: '1000000',
  WS_AUTH_TIMEOUT_MS: '60000',
  WS_ACCEPTS_PER_SECOND: '20000',
  WS_ACCEPTS_PER_SECOND_PER_ADDRESS: '20000',
}

async function startRealGateway(
  { redis, platform }: Ground,
  name: 'gateway' | 'observed',
): Promise<Contestant> {
  const sink = name === 'observed' ? await startOtlpSink() : undefined
  const gateway = await startGateway({
    ...platform.env,
    ...capacity,
    REDIS_URL: redis.url,
    ...(sink && { OTEL_SDK_DISABLED: 'false', OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint }),
  })
  const subscribe = (tableId: string): readonly string[] => [
    `send {"type":"SubscribeChat","tableId":"${tableId}"}`,
    `expect "type":"ChatSubscribed","tableId":"${tableId.slice(0, tableId.indexOf('{'))}`,
  ]
  return {
    name,
    pid: gateway.pid,
    url: () => gateway.wsUrl,
    // The lobby comes by itself: three subscriptions.
    script: (rooms) => [
      'send {"type":"Authenticate","token":"{token}","features":["acks","heartbeat","drain"]}',
      'expect "type":"Welcome"',
      ...subscribe(`side-{i%${rooms}}`),
      ...subscribe(`room-{i%${rooms}}`),
    ],
    hasTokens: true,
    publishTo: `${sink ? 'traced' : 'broker'}:${redis.url}`,
    async stop() {
      await gateway.end('SIGTERM')
      await sink?.[Symbol.asyncDispose]()
    },
  }
}

/** A control server of ours: its first line tells its ports. */
async function startControl(
  name: 'bare-ws' | 'socket-io',
  env: Readonly<Record<string, string>>,
): Promise<{
  readonly pid: number
  readonly ports: Record<string, unknown>
  readonly stop: () => Promise<boolean>
}> {
  let ports: unknown
  const child = startProcess({
    name,
    entry: `tools/fan-out/${name}.ts`,
    env: { PATH: process.env['PATH'], ...env },
    onLine: () => {},
  })
  await child.waitForLine((line) => {
    if (line.startsWith('{')) ports = JSON.parse(line)
    return ports !== undefined
  })
  return { pid: child.pid ?? 0, ports: isObject(ports) ? ports : {}, stop: async () => child.stop(2000) }
}

async function startBareWs(name: 'ws' | 'handle', { redis }: Ground, byRedis: boolean): Promise<Contestant> {
  const { pid, ports, stop } = await startControl('bare-ws', {
    FAN_OUT_WRITE: name === 'handle' ? 'handle' : 'send',
    ...(byRedis && { FAN_OUT_REDIS: redis.url }),
  })
  return {
    name,
    pid,
    url: (rooms) => `ws://127.0.0.1:${Number(ports['port'])}/ws?room-{i%${rooms}}`,
    script: () => [],
    hasTokens: false,
    publishTo: byRedis ? `plain:${redis.url}` : `line:${Number(ports['ingestPort'])}`,
    stop,
  }
}

async function startSocketIo({ redis }: Ground): Promise<Contestant> {
  const { pid, ports, stop } = await startControl('socket-io', { FAN_OUT_REDIS: redis.url })
  return {
    name: 'socket.io',
    pid,
    url: () => `ws://127.0.0.1:${Number(ports['port'])}/socket.io/?EIO=4&transport=websocket`,
    script: (rooms) => [
      'expect 0{',
      'send 40',
      'expect 40{',
      `send 42["join","room-{i%${rooms}}"]`,
      'expect joined',
    ],
    answers: ['2=3'],
    hasTokens: false,
    publishTo: `line:${Number(ports['ingestPort'])}`,
    stop,
  }
}

async function startRawcast(): Promise<Contestant> {
  const [port, ingestPort] = [await freePort(), await freePort()]
  const child = spawn(await compileC(join(import.meta.dirname, 'rawcast.c')), [`${port}`, `${ingestPort}`], {
    stdio: 'ignore',
  })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  // It says nothing when it listens.
  await pause(200)
  return {
    name: 'rawcast',
    pid: child.pid ?? 0,
    url: () => `ws://127.0.0.1:${port}/`,
    script: () => [],
    hasTokens: false,
    publishTo: `bare:${ingestPort}`,
    stop() {
      child.kill('SIGKILL')
      return gone
    },
  }
}

/** Starts one server. `byRedis`: bare `ws` hears its rooms by Redis, as it must when there are several of it. */
export async function startContestant(
  name: ContestantName,
  ground: Ground,
  byRedis: boolean,
): Promise<Contestant> {
  switch (name) {
    case 'gateway':
    case 'observed':
      return startRealGateway(ground, name)
    case 'rawcast':
      return startRawcast()
    case 'ws':
    case 'handle':
      return startBareWs(name, ground, byRedis)
    case 'socket.io':
      return startSocketIo(ground)
  }
}
