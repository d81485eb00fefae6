/**
 * What a client may ask for in `Authenticate.features`. A client that asks for none is today's web client and gets the
 * contract's messages only. `acks`: an answer to every message with an `id`. `presence`: who is online. `heartbeat`: a
 * message at least every `heartbeatMs`. `drain`: a hint before the server goes. `typing`: who is writing in a chat.
 */
export const features = ['acks', 'presence', 'heartbeat', 'drain', 'typing'] as const

/** One word of `features`; a server ignores words that it does not know. */
export type Feature = (typeof features)[number]

/** Narrows a word to a feature of this version. */
export function isFeature(word: string): word is Feature {
  return features.some((feature) => feature === word)
}
