/** 128 random bits in hex. `crypto.randomUUID` is for pages of a secure origin only: this one may be opened by an address. */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
