import { describe } from 'vitest'
import { type Broker, createMemoryBroker } from '@gw/pubsub'
import { classes, describeBroker } from './contract.ts'

describe('memory broker', () => {
  describeBroker(async () => {
    const brokers: Broker[] = []
    return {
      shared: false,
      connect: () => {
        const broker = createMemoryBroker({ classes })
        brokers.push(broker)
        return broker
      },
      async [Symbol.asyncDispose]() {
        await Promise.all(brokers.map(async (broker) => broker.close()))
      },
    }
  })
})
