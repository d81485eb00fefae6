import type { TestProject } from 'vitest/node'
import { startRedis } from './redis-server.ts'

/** What `inject` of vitest knows as soon as a test file imports this package. */
export interface ProvidedRedis {
  redisUrl: string
}

declare module 'vitest' {
  interface ProvidedContext extends ProvidedRedis {}
}

/** vitest's globalSetup: `inject('redisUrl')` is REDIS_URL when set, else a server that lives for the run. */
export default async function setup(project: TestProject): Promise<() => void> {
  const given = process.env['REDIS_URL']
  if (given !== undefined && given !== '') {
    project.provide('redisUrl', given)
    return () => {}
  }
  const redis = await startRedis()
  project.provide('redisUrl', redis.url)
  return () => redis.stop()
}
