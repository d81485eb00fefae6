/** Primes by which the moduli of weak key generators leave few remainders: the powers of 65537. */
const primes = [11n, 13n, 17n, 19n, 37n, 53n, 61n, 71n, 73n, 79n, 97n, 103n, 107n, 109n, 127n, 151n, 157n]

/**
 * Was the RSA modulus made by the smart cards of ROCA (CVE-2017-15361)? Such a key can be factored, whatever its size.
 * Their primes are powers of 65537 modulo small primes, and so are products of them; another key looks like this once
 * in some hundred million.
 */
export function hasRocaFingerprint(modulus: bigint): boolean {
  return primes.every((prime) => isPowerOf65537(modulus % prime, prime))
}

function isPowerOf65537(remainder: bigint, prime: bigint): boolean {
  let power = 1n
  do {
    if (power === remainder) return true
    power = (power * 65_537n) % prime
  } while (power !== 1n)
  return false
}
