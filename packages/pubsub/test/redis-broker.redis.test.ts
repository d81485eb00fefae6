import { describe } from 'vitest'
import { describeBroker } from './contract.ts'
import { openRedis } from './redis-place.ts'

describe('broker on one Redis', () => {
  describeBroker(async () => openRedis())
})
