/**
 * Text of somebody else, such as a peer or a device module, on its way to a terminal, which it must not steer.
 *
 * @module
 */

/** Most characters of a failure: a path and why it failed fit. */
const LINE_CHARACTERS = 2000

/** Most characters of a name. */
export const NAME_CHARACTERS = 200

/** Controls (escape sequences begin with one), line separators, invisible marks that turn text around, half characters. */
const UNPRINTABLE = /\s*[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+\s*/gu
/** The same, but for half characters and what JSON escapes itself. */
const UNESCAPED = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu

/** One line of at most `most` characters; what a terminal would obey is a blank. */
export function plainLine(text: string, most: number = LINE_CHARACTERS): string {
  // Cut first: a peer may have sent any amount, and half a character is one of those that go.
  const cut = text.length > most ? `${text.slice(0, most)} ...` : text
  return cut.replaceAll(UNPRINTABLE, ' ').trim()
}

/** JSON whose text was left as it is: what a terminal would obey is escaped, and means the same. */
export function plainJson(json: string): string {
  return json.replaceAll(UNESCAPED, (character) =>
    // An astral character is escaped in its two halves.
    character.replaceAll(/[^]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`),
  )
}
