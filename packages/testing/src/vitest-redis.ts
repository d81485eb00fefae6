import type { TestProject } from 'vitest/node'
import { startRedis } from './redis-server.ts'

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string
  }
}

export default async function setup(project: TestProject): Promise<() => void> {
  const redis = await startRedis()
  project.provide('redisUrl', redis.url)
  return redis.stop
}
