/**
 * XXH3's default secret of 192 bytes, as immediates: a data segment would overwrite a foreign memory
 * at instantiation.
 *
 * @module
 */

/**
 * Writes the secret for `seed` to `at`: every first word of a pair plus the seed, every second minus
 * it, as the long form wants it. With seed 0 that is the default secret, which the forms of 17 to 240
 * bytes read.
 */
export function secretStore(at: usize, seed: u64): void {
  storePair(at + 0, 0xbe4ba423396cfeb8, 0x1cad21f72c81017c, seed)
  storePair(at + 16, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072, seed)
  storePair(at + 32, 0x78e5c0cc4ee679cb, 0x2172ffcc7dd05a82, seed)
  storePair(at + 48, 0x8e2443f7744608b8, 0x4c263a81e69035e0, seed)
  storePair(at + 64, 0xcb00c391bb52283c, 0xa32e531b8b65d088, seed)
  storePair(at + 80, 0x4ef90da297486471, 0xd8acdea946ef1938, seed)
  storePair(at + 96, 0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, seed)
  storePair(at + 112, 0x3159b4cd4be0518a, 0x647378d9c97e9fc8, seed)
  storePair(at + 128, 0xc3ebd33483acc5ea, 0xeb6313faffa081c5, seed)
  storePair(at + 144, 0x49daf0b751dd0d17, 0x9e68d429265516d3, seed)
  storePair(at + 160, 0xfca1477d58be162b, 0xce31d07ad1b8f88f, seed)
  storePair(at + 176, 0x280416958f3acb45, 0x7e404bbbcafbd7af, seed)
}

function storePair(at: usize, first: u64, second: u64, seed: u64): void {
  store<u64>(at, first + seed)
  store<u64>(at, second - seed, 8)
}
