import { generateKeyPairSync } from 'node:crypto'
import { expect, it } from 'vitest'
import { hasRocaFingerprint } from '../src/roca-fingerprint.ts'

it('is there in powers of 65537 and products of them, not in moduli of keys as they are made today', () => {
  expect(hasRocaFingerprint(65_537n ** 40n)).toBe(true)
  expect(hasRocaFingerprint(65_537n ** 40n * 65_537n ** 7n)).toBe(true)
  expect(hasRocaFingerprint(65_537n ** 40n + 2n)).toBe(false)
  for (let made = 0; made < 5; made += 1) {
    const { n = '' } = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })
    expect(hasRocaFingerprint(BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`))).toBe(false)
  }
})
