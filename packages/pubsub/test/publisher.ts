import { type Broker, PubSubError } from '@gw/pubsub'

/** Publishes 1, 2, 3… one after another until stopped; each again, under its own key, until it is accepted. */
export function startPublisher(broker: Broker, channel: string): { stop: () => Promise<number> } {
  const state = { running: true }
  let sent = 0
  async function publish(text: string): Promise<void> {
    for (;;)
      try {
        await broker.publish(channel, text, { idempotencyKey: text })
        return
      } catch (error) {
        if (!(error instanceof PubSubError) || !error.retryable) throw error
      }
  }
  const done = (async () => {
    while (state.running) await publish(String(++sent))
    return sent
  })()
  // A test that fails never asks.
  done.catch(() => {})
  return {
    stop: async () => {
      state.running = false
      return done
    },
  }
}
