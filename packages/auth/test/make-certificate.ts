import { type KeyObject, sign } from 'node:crypto'

/** A self-signed X.509 v1 certificate of an RSA key, in base64 as `x5c` has it. */
export function makeCertificate(publicKey: KeyObject, privateKey: KeyObject): string {
  const sha256WithRsa = sequence(Buffer.from('06092a864886f70d01010b0500', 'hex'))
  const name = sequence()
  const validity = sequence(
    element(0x17, Buffer.from('260101000000Z')),
    element(0x17, Buffer.from('460101000000Z')),
  )
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  const body = sequence(element(0x02, Buffer.from([1])), sha256WithRsa, name, validity, name, spki)
  const signature = element(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', body, privateKey)]))
  return sequence(body, sha256WithRsa, signature).toString('base64')
}

function sequence(...parts: Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts))
}

/** DER: tag, length in one or three bytes, content. */
function element(tag: number, content: Buffer): Buffer {
  const { length } = content
  const head = length < 128 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), content])
}
