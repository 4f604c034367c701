import { describe, expect, it } from 'vitest'
import { isLoopback } from '../../../src/node/loopback.ts'
import { hostUrl, isWebSocketUrl, parseTransportUrl } from '../../../src/node/transport-url.ts'
import { outcome } from '../../support/vfio-error.ts'

describe('a transport URL', () => {
  it.each([
    ['unix:/run/a.sock', { scheme: 'unix', path: '/run/a.sock' }],
    ['unix:a:b', { scheme: 'unix', path: 'a:b' }],
    ['tcp:host:1', { scheme: 'tcp', host: 'host', port: 1 }],
    ['tcp://127.0.0.1:65535', { scheme: 'tcp', host: '127.0.0.1', port: 65_535 }],
    ['tcp:[::1]:0', { scheme: 'tcp', host: '::1', port: 0 }],
    ['tls:[fe80::1%eth0]:7', { scheme: 'tls', host: 'fe80::1%eth0', port: 7 }],
    ['ws:host:80', { scheme: 'ws', host: 'host', port: 80, path: '/' }],
    ['wss://host:443/a/b?c', { scheme: 'wss', host: 'host', port: 443, path: '/a/b?c' }],
  ])('%s is taken apart', (url, parts) => {
    expect(parseTransportUrl(url)).toEqual(parts)
  })

  it.each([
    '',
    'host:1',
    'http://host:1',
    'unix:',
    'unix:a\0b',
    `unix:${'é'.repeat(54)}`,
    'tcp:host',
    'tcp::1',
    'tcp:host:',
    'tcp:host:65536',
    'tcp:host:-1',
    'tcp:::1:5',
    'tcp:user@host:1',
    'tcp:host:1/path',
    'ws:host',
  ])('"%s" is none', (url) => {
    expect(outcome(() => parseTransportUrl(url))).toBe('EINVAL')
  })

  it('is put together again, with brackets around an IPv6 address', () => {
    expect(hostUrl('tcp', '::1', 5)).toBe('tcp:[::1]:5')
    expect(hostUrl('ws', 'host', 5, '/p')).toBe('ws:host:5/p')
  })

  it('tells WebSockets from sockets', () => {
    const urls = ['unix:a', 'tcp:a:1', 'tls:a:1', 'ws:a:1', 'wss:a:1']
    expect(urls.map((url) => isWebSocketUrl(parseTransportUrl(url)))).toEqual([
      false,
      false,
      false,
      true,
      true,
    ])
  })
})

describe('loopback', () => {
  it.each([
    ['localhost', true],
    ['LocalHost', true],
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['10.0.0.1', false],
    ['localhost.example.org', false],
    ['128.0.0.1', false],
  ])('%s: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected)
  })
})
